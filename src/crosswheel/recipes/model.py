"""Defines recipes and sources as typed, frozen values."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from crosswheel.quantities import BYTES, SECONDS, amount
from crosswheel.versions import same_version


def _requirement(text: str) -> str:
    Requirement(text)  # raises a ValueError that explains the mistake
    return text


def _version(text: str) -> str:
    Version(text)
    return text


def _amount_of(value: str | int, units: Mapping[str, int]) -> int:
    return value if isinstance(value, int) else amount(value, units)


RequirementText = Annotated[str, AfterValidator(_requirement)]
VersionText = Annotated[str, AfterValidator(_version)]
Prefer = Literal["native", "published", "source"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
GitId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Seconds = Annotated[int, BeforeValidator(partial(_amount_of, units=SECONDS)), Field(gt=0)]
ByteCount = Annotated[int, BeforeValidator(partial(_amount_of, units=BYTES)), Field(gt=0)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GithubSource(_Spec):
    """A tag's source archive on GitHub, or with ``sdist_archive`` a file of that tag's release.

    Attributes:
        path: the project's folder in the archive, if it is not the top.
        git_tree: the id of the tag's tree (``git rev-parse <tag>^{tree}``). It stays the same when GitHub packs an
            archive again, which changes ``sha256``.
        submodules: the commit of each submodule, by path: ``git_tree`` covers them, and archives leave them empty.
    """

    kind: Literal["github"] = "github"
    org: str
    repo: str
    tag: str
    sdist_archive: str | None = None
    name: str | None = None
    path: str | None = None
    sha256: Sha256 | None = None
    git_tree: GitId | None = None
    submodules: Mapping[str, GitId] = Field(default_factory=dict)

    def url(self, github: str) -> str:
        """Return the archive's URL, given GitHub's base URL."""
        base = f"{github}/{self.org}/{self.repo}"
        if self.sdist_archive:
            return f"{base}/releases/download/{self.tag}/{self.sdist_archive}"
        return f"{base}/archive/refs/tags/{self.tag}.zip"

    def __str__(self) -> str:
        return f"GitHub {self.org}/{self.repo} {self.tag}"


class GitSource(_Spec):
    """A commit of a git repository: ``ref`` is a tag, a branch or a commit."""

    kind: Literal["git"] = "git"
    url: str
    ref: str
    commit: GitId | None = None
    path: str | None = None

    def __str__(self) -> str:
        return f"git {self.url} {self.ref}"


class FolderSource(_Spec):
    """A folder with a project: ``path`` is relative to the recipe's folder. The lock has the hash of its content."""

    kind: Literal["folder"] = "folder"
    path: str

    def __str__(self) -> str:
        return f"the folder {self.path}"


class PypiSource(_Spec):
    """The sdist of a release on the package registry."""

    kind: Literal["pypi"] = "pypi"
    name: str
    version: str
    sha256: Sha256 | None = None
    path: str | None = None

    def __str__(self) -> str:
        return f"the sdist of {self.name} {self.version}"


class UrlSource(_Spec):
    """The archive at a URL, with its hash."""

    kind: Literal["url"] = "url"
    url: str
    sha256: Sha256
    path: str | None = None

    def __str__(self) -> str:
        return self.url


Source = Annotated[
    FolderSource | GithubSource | GitSource | PypiSource | UrlSource, Field(discriminator="kind")
]


# What a recipe says that the wheel's bytes do not depend on.
_WITHOUT_INFLUENCE = {
    "file", "label", "tests", "test_requires", "test_command", "test_sources", "skip_imports", "prefer_reason",
    "time_limit", "memory_limit",
}  # fmt: skip


class Recipe(_Spec):
    """How to build one package, where that differs from the default.

    A recipe with a ``version`` (``packages/<name>/<version>/build.py``) is a *root*, which is offered in the index.
    A recipe without one (``packages/<name>/build.py``) is a *helper*, for a package of a root's closure.

    Attributes:
        name: the package's name, as the folder spells it.
        version: the package's version, as the folder spells it; PEP 440 decides which releases equal it.
        label: the name of this recipe in messages and proofs.
        source: the source; the locked sdist by default.
        fallback: another source, used with a warning if ``source`` cannot be reached.
        setup_py_commands: run ``setup.py`` with these instead of the PEP 517 build backend.
        build_dependencies: build requirements in addition to those that the project states.
        as_of: the day (inclusive) as of which the closure and the build requirements are resolved.
        requirements: the requirements that the index will satisfy; the package itself, at its version, if empty.
        patches: files beside ``build.py``, applied in this order with ``-p1``.
        environment: variables for the build backend.
        config_settings: PEP 517 config settings.
        cargo_features: features of the Rust crate, and of crates below it as ``crate/feature``.
        optimize: the compiler's optimisation level, instead of the project's.
        libraries: C libraries to link in, by name.
        tests: Python programs beside ``build.py`` that must succeed on the target.
        test_requires: packages that tests and imports need, in addition to those that the package requires.
        skip_imports: modules that cannot be imported by themselves, each with the reason.
        without: extension modules that official wheels have and this one will not have, each with the reason.
        prefer: ``native`` takes a published wheel that loads and is native, else builds; ``published`` also
            takes a pure fallback; ``source`` always builds. What the command line says, if not given.
        prefer_reason: why, for people.
        before_build: a shell command that is run in the source's folder before the build.
        test_command: a shell command that must succeed on the target, in an empty folder; ``{project}`` and
            ``{package}`` stand for the folder of the source.
        test_sources: files and folders of the source that are in that folder, if the source itself is not meant.
        tag: ``manylinux`` gives its wheel the tag of the oldest policy of PEP 600 that it keeps, for registries.
        build_number: tells a corrected build from the ones before it, which what is published keeps (PEP 427); what
            has one is built, never taken.
        time_limit: seconds that its build may take, and then its trial; what the command line says, if not given.
        memory_limit: bytes of memory that each program of these may have.
    """

    name: str
    version: VersionText | None = None
    file: Path
    label: str = ""
    source: Source | None = None
    fallback: Source | None = None
    setup_py_commands: tuple[str, ...] | None = None
    build_dependencies: tuple[RequirementText, ...] = ()
    as_of: datetime.date | None = None
    requirements: tuple[RequirementText, ...] = ()
    patches: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    config_settings: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)
    cargo_features: tuple[str, ...] = ()
    optimize: Literal["0", "1", "2", "3", "s", "z"] | None = None
    libraries: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    test_requires: tuple[str, ...] = ()
    skip_imports: Mapping[str, str] = Field(default_factory=dict)
    without: Mapping[str, str] = Field(default_factory=dict)
    prefer: Prefer | None = None
    prefer_reason: str | None = None
    before_build: str | None = None
    test_command: str | None = None
    test_sources: tuple[str, ...] = ()
    tag: Literal["linux", "manylinux"] = "linux"
    build_number: Annotated[int, Field(ge=0)] | None = None
    time_limit: Seconds | None = None
    memory_limit: ByteCount | None = None

    @property
    def folder(self) -> Path:
        """The folder of ``build.py``, with its patches and locks."""
        return self.file.parent

    @property
    def canonical_name(self) -> str:
        """The package's normalised name (PEP 503)."""
        return canonicalize_name(self.name)

    @property
    def says_how(self) -> bool:
        """Whether it states anything about how to build, take or prove its package."""
        return bool(self._stated)

    @property
    def only_proves(self) -> bool:
        """Whether all that it states is how to prove its package: its wheel is the same without it."""
        return self.says_how and self._stated <= _WITHOUT_INFLUENCE

    @property
    def _stated(self) -> frozenset[str]:
        fields = type(self).model_fields.items()
        stated = (
            name
            for name, field in fields
            if getattr(self, name) != field.get_default(call_default_factory=True)
        )
        return frozenset(stated) - {
            "name", "version", "file", "label", "as_of", "requirements", "build_number"
        }  # fmt: skip

    def is_of(self, name: str, version: str) -> bool:
        """Tell whether it is the root of a release; names are compared by PEP 503, versions by PEP 440."""
        same = self.version is not None and self.canonical_name == canonicalize_name(name)
        return same and same_version(self.version or "", version)

    @property
    def is_alone(self) -> bool:
        """Whether it builds its package alone, like the original tool: it has no day, no requirements, so no lock."""
        return self.as_of is None and not self.requirements

    @property
    def roots(self) -> tuple[str, ...]:
        """The requirements that the index will satisfy."""
        return self.requirements or (f"{self.name}=={self.version}",)

    @property
    def test_files(self) -> tuple[Path, ...]:
        """The programs to run on the target."""
        return tuple(self.folder / test for test in self.tests)

    @property
    def fingerprint(self) -> dict[str, object]:
        """All that the wheel's bytes may depend on, patches by their content; not where the recipe lies."""
        fields = self.model_dump(mode="json", exclude=_WITHOUT_INFLUENCE)
        fields["patches"] = [(self.folder / patch).read_text() for patch in self.patches]
        return fields
