"""Calls uv, which resolves and installs."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tomlkit
from pydantic import BaseModel, ConfigDict
from uv import find_uv_bin

from crosswheel.cached import cache_path
from crosswheel.download import connection_hint, has_system_trust
from crosswheel.errors import BuildFailed, LockError, NetworkError
from crosswheel.files import write_text
from crosswheel.process import Result, Runner, Word, tail
from crosswheel.settings import Settings

# The start of uv's messages about a registry that it could not reach; names and versions must not match it.
_UNREACHABLE = re.compile(r"Failed to fetch: |Request failed after |the network was disabled")
# The message of the stand-in for a release's build backend, which uv must not run.
_REFUSAL = "crosswheel asks for metadata itself"
_UNDESCRIBED = re.compile(r"Failed to (?:download and )?build `([^`\s]+)==([^`\s]+)`")
_BUILDING = re.compile(r"Failed to (?:download and )?build `([^`\s]+)`")
_WAITING = "when waiting for lock on"
# uv waits for a source that another process builds; the sum of these is uv's own limit.
_LOCK_SECONDS, _LOCK_TRIES = "20", 15
_UNDATED = "is missing an upload date"
_WARNING = re.compile(r"^warning: (.*)$", re.MULTILINE)
# What uv and the build backends that it calls are told of the user's machine. Whatever changes what is resolved is not
# among it: a lock would depend on what it does not tell.
_ENVIRONMENT = frozenset({
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "NETRC", "PATH", "TEMP", "TMP",
    "TMPDIR", "USER", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
    "ALL_PROXY", "FTP_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "SSL_CLIENT_CERT", "UV_CONCURRENT_BUILDS", "UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_INSTALLS",
    "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_PROXY", "UV_HTTPS_PROXY", "UV_HTTP_RETRIES", "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_LINK_MODE", "UV_LOCK_TIMEOUT", "UV_NATIVE_TLS", "UV_NO_PROXY",
    "UV_REQUEST_TIMEOUT", "UV_SYSTEM_CERTS",
})  # fmt: skip


class ReleaseMetadata(BaseModel):
    """The metadata of a release that a resolver needs (PEP 643)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    requires_python: str | None = None


@dataclass(frozen=True)
class Renewal:
    """How a new resolution depends on an earlier one.

    Attributes:
        preferred: the earlier pins, which stay as far as they fit; without them every release is the newest.
        upgraded: the names of packages that are upgraded to the newest release all the same.
        exceptions: the days of packages that may be newer than the day of all others.
    """

    preferred: str | None = None
    upgraded: tuple[str, ...] = ()
    exceptions: Mapping[str, datetime.date] = field(default_factory=dict)


@dataclass(frozen=True)
class Uv:
    """uv with the user's registry, and with a cache below crosswheel's own."""

    settings: Settings
    runner: Runner

    def compile(
        self,
        requirements: Sequence[Path],
        output: Path,
        *,
        python: Path,
        as_of: datetime.date | None,
        universal: bool = False,
        extras: bool = False,
        constraints: Sequence[Path] = (),
        metadata: Sequence[ReleaseMetadata] | None = None,
        renewal: Renewal | None = None,
    ) -> Result:
        """Resolve requirements to exact versions with hashes; the result's exit code tells whether that succeeded.

        Args:
            requirements: requirements files.
            output: the file for the resolved requirements.
            python: the interpreter whose tags and markers count.
            as_of: ignore what was published after this day (UTC).
            universal: resolve for every platform instead of the interpreter's own, and write no comments.
            extras: write the requested extras of each release.
            constraints: files of constraints: bounds, and URLs of releases.
            metadata: the metadata of releases. If given, uv runs no code of a release to find its metadata: a release
                without readable metadata ends the resolution, and :func:`undescribed` names it.
            renewal: which pins of an earlier resolution stay; by default every release is the newest.
        """
        words: list[Word] = ["pip", "compile", "--no-header", "--generate-hashes", "--python", python]
        words += [*requirements, "--output-file", output]
        words += ["--exclude-newer", end_of(as_of)] if as_of else []
        renewal = renewal or Renewal()
        words += [f"--exclude-newer-package={name}={end_of(day)}" for name, day in renewal.exceptions.items()]
        if renewal.preferred is None:
            words += ["--upgrade"]
        else:
            output.write_text(renewal.preferred)
            words += [f"--upgrade-package={name}" for name in renewal.upgraded]
        words += ["--universal", "--no-annotate"] if universal else []
        words += ["--no-strip-extras"] if extras else []
        words += [word for file in constraints for word in ("--constraint", file)]
        if metadata is None:
            return self._run(words, check=False)
        folder = output.parent / "stated"
        return self._run([*words, *_stating(metadata, folder)], check=False, PYTHONPATH=str(folder))

    def export_lock(self, folder: Path, *, python: Path, groups: Sequence[str] = ()) -> str:
        """Return the unchanged lock of a uv project as a ``pylock.toml`` (PEP 751), without running a project's code.

        Folders are named in it as seen from the project's.

        Raises:
            BuildFailed: the lock cannot be read, or has no such group.
        """
        words: list[Word] = ["export", "--quiet", "--frozen", "--no-header", "--no-default-groups"]
        words += ["--format", "pylock.toml"]
        words += [word for group in groups for word in ("--group", group)]
        return self._run([*words, "--python", python.absolute(), "--project", "."], cwd=folder).output

    def candidates(self, requirements: Path, *, python: Path) -> str:
        """Return the files of locked releases that an interpreter may install, as a ``pylock.toml`` (PEP 751)."""
        words: list[Word] = ["pip", "compile", "--quiet", "--no-header", "--no-deps", "--no-annotate"]
        return self._run([*words, "--format", "pylock.toml", "--python", python, requirements]).output

    def venv(self, folder: Path, *, python: Path) -> None:
        """Create an empty virtual environment."""
        self._run(["venv", "--quiet", "--no-project", "--clear", "--python", python, folder])

    def install_locked(self, requirements: Path, *, python: Path) -> None:
        """Install exactly the releases in a requirements file with hashes."""
        self._run(
            [
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--no-deps",
                "--python",
                python,
                "-r",
                requirements,
            ]
        )

    def install_wheels(self, wheels: Sequence[Path], *, python: Path) -> None:
        """Install wheels into an environment, without their dependencies."""
        words: list[Word] = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--python", python]
        if wheels:
            self._run([*words, *wheels])

    def install_wheel(self, wheel: Path, folder: Path, *, python: Path, compiled: bool = True) -> Path:
        """Install one wheel without its dependencies; return its ``site-packages`` folder.

        Args:
            folder: the ``sys.prefix`` to install into: it gets ``lib/pythonX.Y/site-packages``, ``bin``, ``include``,
                and at its top the wheel's data files (PEP 427).
            python: the interpreter to install for.
            compiled: byte-compile the modules.
        """
        words: list[Word] = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--python", python]
        words += [*(["--compile-bytecode"] if compiled else []), "--prefix", folder, wheel]
        # By their times the files may be newer than their bytecode, as they are links to those in uv's cache. And uv
        # would start a compiling Python for each processor, which takes longer than to compile most wheels.
        self._run(words, PYC_INVALIDATION_MODE="UNCHECKED_HASH", UV_CONCURRENT_INSTALLS="1")
        return site_of(folder)

    def _run(
        self, words: Sequence[Word], *, cwd: Path | None = None, check: bool = True, **variables: str
    ) -> Result:
        """Run uv; if it waits long for a source that is being built, find out whether it waits for itself."""
        env = {"UV_LOCK_TIMEOUT": _LOCK_SECONDS, **self._environment(), **variables}
        for _ in range(_LOCK_TRIES):
            result = self.runner.run([find_uv_bin(), *words], cwd=cwd, env=env, check=False)
            if result.returncode == 0 or _WAITING not in result.output:
                break
            _refuse_loop(result)
        if check and result.returncode != 0:
            raise BuildFailed(
                f"uv {' '.join(map(str, words[:2]))} ended with exit code {result.returncode}\n{tail(result.output)}",
                hint=f"the whole output is in {self.runner.log}."
                if self.runner.log
                else "its last lines are above.",
            )
        return result

    def _environment(self) -> Mapping[str, str]:
        env = {name: value for name, value in os.environ.items() if name.upper() in _ENVIRONMENT}
        env["UV_CACHE_DIR"] = str(cache_path(self.settings.cache, "uv"))
        env["UV_NO_CONFIG"] = "1"  # the settings of a project around the checkout must not count
        env["UV_PYTHON_DOWNLOADS"] = "never"
        if has_system_trust():
            env.setdefault("UV_SYSTEM_CERTS", "true")
        if self.settings.registry:
            env["UV_DEFAULT_INDEX"] = self.settings.registry
        # uv takes a package from the first of these that has it, and from the default one last.
        before = [*filter(None, [self.settings.gateway]), *self.settings.extra_registries]
        if before:
            env["UV_INDEX"] = " ".join(before)
        if self.settings.offline:
            env["UV_OFFLINE"] = "1"
        return env


def _refuse_loop(result: Result) -> None:
    """Raise :class:`LockError` if a source is needed to build itself, so that uv waits for its own lock."""
    chain = _BUILDING.findall(result.output)
    twice = next((name for name in chain if chain.count(name) > 1), None)
    if twice:
        raise LockError(
            f"to build {twice}, {twice} is needed first: {' needs '.join(dict.fromkeys(chain))} needs {twice}",
            hint="one of them is to be had as a wheel: name another version of it with build_dependencies in a recipe.",
        )


def _stating(metadata: Sequence[ReleaseMetadata], folder: Path) -> list[Word]:
    """Return options that give uv metadata and keep it from running code for others; ``folder`` goes on PYTHONPATH."""
    releases = [release.model_dump(mode="json", exclude_none=True) for release in metadata]
    tables = [{key.replace("_", "-"): value for key, value in release.items()} for release in releases]
    write_text(folder / "uv.toml", tomlkit.dumps({"dependency-metadata": tables}))
    write_text(folder / "sitecustomize.py", f"raise SystemExit({_REFUSAL!r})\n")
    # A setting that no backend knows: uv caches answers by settings, and must not use answers to other questions.
    settings = "--config-setting=crosswheel=1"
    return ["--no-build-isolation", settings, "--config-file", folder / "uv.toml"]


def undescribed(result: Result) -> tuple[str, str] | None:
    """Return the name and version of the release whose missing metadata ended a resolution, or ``None``."""
    match = _UNDESCRIBED.search(result.output) if _REFUSAL in result.output else None
    return (match[1], match[2]) if result.returncode != 0 and match else None


def warnings(result: Result) -> list[str]:
    """Return uv's warnings, except those of yanked releases, which every later run tells by itself."""
    every = _WARNING.findall(result.output)
    undated = sum(_UNDATED in text for text in every)
    passed_over = f"{undated} files were passed over, as the registry does not tell when they came to it"
    texts = [text for text in every if "is yanked" not in text and _UNDATED not in text]
    return [*texts, *([passed_over] if undated else [])]


def site_of(prefix: Path) -> Path:
    """Return the ``site-packages`` folder below a ``sys.prefix``."""
    return next(prefix.glob("lib/python*/site-packages"))


def require_answered(result: Result, subject: str) -> None:
    """Raise an error if uv failed because of the registry.

    Args:
        subject: what the registry was asked about, for messages.

    Raises:
        NetworkError: the registry could not be reached.
        LockError: the registry does not state upload times, which resolving as of a day needs.
    """
    if result.returncode == 0:
        return
    if _UNREACHABLE.search(result.output):
        raise NetworkError(
            f"the registry could not be asked about {subject}:\n{tail(result.output, 20)}",
            hint=connection_hint(
                result.output,
                "check the network and proxy settings; UV_DEFAULT_INDEX names another registry.",
            ),
        )
    if _UNDATED in result.output:
        raise LockError(
            f"{subject}: the registry does not tell when files came to it, so nothing is known to be of that day",
            hint="leave the day out (--as-of, as_of), or name a registry that tells it (PEP 700): UV_DEFAULT_INDEX.",
        )


def end_of(day: datetime.date) -> str:
    """Return the end of a day in UTC, so that a lock does not depend on the time zone of the host."""
    return f"{day + datetime.timedelta(days=1):%Y-%m-%d}T00:00:00Z"
