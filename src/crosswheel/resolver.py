"""Resolves requirements to exact releases for a target, as of a day.

uv resolves. It is given an interpreter that answers as the target does, and runs no code of a release, which it would
run with the target's own wheels. Metadata that only a build backend can tell are asked for as in a build.
"""

from __future__ import annotations

import datetime
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel.errors import LockError, UsageError
from crosswheel.lock import Pin
from crosswheel.process import Result, tail
from crosswheel.projects.local_release import LocalRelease
from crosswheel.projects.stand_in import restored, write_stand_in, written_constraints
from crosswheel.targets import Target
from crosswheel.uv import ReleaseMetadata, Renewal, Uv, require_answered, undescribed, warnings

# uv's exit code for files that it cannot read.
_UNREADABLE = 2
_VIA_FILE = re.compile(r"^\s*#\s*(?:via\s+)?-[rc] (.+)$", re.MULTILINE)
_PIN = re.compile(r"^(\S+==\S+).*(?:\n\s+--hash.*)*((?:\n\s+#.*)*)", re.MULTILINE)
_HASH = re.compile(r"--hash[= ]sha256:([0-9a-fA-F]{64})")
_NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)", re.MULTILINE)
_HASH_LINE = re.compile(r" \\\n\s+--hash=sha256:([0-9a-f]{64})")
_ADDRESS = re.compile(r"^\s*(?:-e\b|--editable\b|\.{1,2}/|/|[a-z+]+:)|^\s*[\w.-]+(?:\[[^]]*\])?\s*@")
_INDEX = re.compile(r"^\s*(?:-i|-f|--(?:index-url|extra-index-url|find-links|no-index))\b")


@dataclass(frozen=True)
class Request:
    """A request: requirements (PEP 508), and requirements files in pip's format."""

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requirements or self.files)

    def __str__(self) -> str:
        return ", ".join([*self.requirements, *map(str, self.files)])


@dataclass(frozen=True)
class Resolution:
    """A resolved request.

    Attributes:
        made_for: the inputs that a lock of it is made for.
        text: the exact releases, as a requirements file with hashes.
        warnings: warnings for the user.
    """

    made_for: Mapping[str, str]
    text: str
    warnings: tuple[str, ...] = ()

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The exact releases."""
        return tuple(locks.pins_of(self.text, Path("what was resolved")))

    @property
    def roots(self) -> tuple[str, ...]:
        """The releases that the request itself names, with their requested extras."""
        return tuple(
            requirement for requirement, comments in _PIN.findall(self.text) if _VIA_FILE.search(comments)
        )


@dataclass(frozen=True)
class Resolver:
    """Resolves requirements for a target.

    Attributes:
        interpreter: an interpreter that answers as the target (:func:`toolchain.identity.asked_interpreter`).
        describe: returns the metadata of a release, by name and version, if none of its files states them.
        projects: the user's own projects, each of which stands for all releases of its name.
    """

    target: Target
    interpreter: Path
    uv: Uv
    describe: Callable[[str, str], ReleaseMetadata]
    projects: Sequence[LocalRelease] = ()

    def resolve(
        self,
        request: Request,
        as_of: datetime.date | None,
        metadata: Iterable[ReleaseMetadata] = (),
        *,
        renewal: Renewal | None = None,
    ) -> Resolution:
        """Resolve requirements as of a day.

        Args:
            metadata: known metadata of releases, which replace those that their files state.
            renewal: which pins of an earlier resolution stay; by default every release is the newest.

        Raises:
            UsageError: a file cannot be read, or has an option that cannot be honoured.
            LockError: no set of versions satisfies the requirements; uv's explanation is in the message.
            NetworkError: the registry could not be reached.
        """
        _refuse_unsupported(request.files)
        with tempfile.TemporaryDirectory() as folder:
            source_file, resolved = Path(folder) / "requirements.in", Path(folder) / "resolved.txt"
            source_file.write_text("".join(f"{line}\n" for line in request.requirements))
            sources = [*([source_file] if request.requirements else []), *request.files]
            stand_ins = [write_stand_in(release, Path(folder) / "projects") for release in self.projects]
            result = self._compile(
                sources,
                resolved,
                as_of,
                metadata,
                extras=bool(request.files),
                constraints=[written_constraints(stand_ins, Path(folder))] if stand_ins else [],
                renewal=renewal,
            )
            self._require_resolved(result, request, as_of)
            text = restored(resolved.read_text(), stand_ins)
            # uv's comments name the requirements file, whose path must not get into a lock.
            text = text.replace(f"{folder}/", "")
        if not text.strip():
            raise UsageError(
                f"{request} asks for nothing on {self.target.name}",
                hint="look at the file, and at its markers.",
            )
        if request.files:
            text = _with_stated_hashes(
                text, request.files, {release.file.sha256 for release in self.projects}
            )
        made_for = locks.purpose([*request.requirements, *map(str, request.files)], self.target, as_of)
        return Resolution(made_for, text, tuple(warnings(result)))

    def _compile(
        self,
        sources: Sequence[Path],
        resolved: Path,
        as_of: datetime.date | None,
        metadata: Iterable[ReleaseMetadata],
        *,
        extras: bool,
        constraints: Sequence[Path],
        renewal: Renewal | None,
    ) -> Result:
        known = {(release.name, release.version): release for release in metadata}
        while True:
            result = self.uv.compile(
                sources,
                resolved,
                python=self.interpreter,
                as_of=as_of,
                extras=extras,
                constraints=constraints,
                metadata=list(known.values()),
                renewal=renewal,
            )
            missing = undescribed(result)
            if missing is None or missing in known:
                return result
            known[missing] = self.describe(*missing)

    def _require_resolved(self, result: Result, request: Request, as_of: datetime.date | None) -> None:
        words = f"{request} for {self.target.name}" + (f" as of {as_of}" if as_of else "")
        require_answered(result, words)
        if result.returncode == _UNREADABLE:
            raise UsageError(
                f"{request} cannot be read:\n{tail(result.output)}",
                hint="mend the line or file that is named; files are in pip's format, and UTF-8.",
            )
        if result.returncode != 0:
            raise LockError(
                f"no set of releases satisfies {words}:\n{tail(result.output, 20)}",
                hint="loosen a requirement, choose a later as_of date, or name the culprit with an upper bound in "
                "the recipe.",
            )


def _refuse_unsupported(files: Iterable[Path]) -> None:
    """Raise :class:`UsageError` for a line of a file that no index of releases can satisfy."""
    for file in files:
        for number, line in enumerate(_text(file).splitlines(), 1):
            if _INDEX.match(line):
                raise UsageError(
                    f"{file}, line {number}: {line.strip()!r} names another registry, and a run asks one",
                    hint="take the line out, and name the registry with UV_DEFAULT_INDEX or PIP_INDEX_URL.",
                )
            if _ADDRESS.match(line):
                raise UsageError(
                    f"{file}, line {number}: {line.strip()!r} is a folder or an address, and an index offers what is "
                    "on a registry",
                    hint="name a release; a recipe for it can name another source (url_source, git_source).",
                )


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="check the path.") from error
    # A byte order mark decides the encoding, as in pip and uv.
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding, errors="replace")


def _with_stated_hashes(text: str, files: Sequence[Path], projects: Collection[str]) -> str:
    """Return resolved requirements with only the hashes that the files state, if they state any, and those of projects.

    uv ignores hashes in its input when it resolves. A file with hashes allows no other file, though, as in pip's
    hash-checking mode.
    """
    named = [Path(name) for name in dict.fromkeys(_VIA_FILE.findall(text)) if Path(name).is_file()]
    _refuse_unsupported(named)
    every = "\n".join(_text(file) for file in dict.fromkeys([*files, *named]))
    hashes = {digest.lower() for digest in _HASH.findall(every)}
    if not hashes:
        return text
    hashes.update(projects)
    stated = {canonicalize_name(name) for name in _NAME.findall(every)}
    for pin in locks.pins_of(text, Path("what was resolved")):
        if not pin.sha256 & hashes:
            which = f"none of them is of a file of {pin}"
            missing = f"does not name {pin.name}, which is needed as well"
            raise UsageError(
                f"{', '.join(map(str, files))} states hashes, and {which if pin.name in stated else missing}",
                hint="add the hashes of that release, from a lock that was made for every platform and for what is "
                "required now; or state none.",
            )
    return _HASH_LINE.sub(lambda match: match[0] if match[1] in hashes else "", text)
