"""uv, which resolves and installs: the few calls that crosswheel makes of it."""

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

from crosswheel.download import connection_hint, has_system_trust
from crosswheel.errors import BuildFailed, LockError, NetworkError
from crosswheel.files import write_text
from crosswheel.process import Result, Runner, Word, tail
from crosswheel.settings import Settings, cache_path

# How uv begins to tell of a registry that it could not ask; a name or version in its answer must not look like it.
_UNREACHABLE = re.compile(r"Failed to fetch: |Request failed after |the network was disabled")
# What the code of a release says instead of its metadata where uv must not ask it.
_REFUSAL = "crosswheel asks for metadata itself"
_UNDESCRIBED = re.compile(r"Failed to (?:download and )?build `([^`\s]+)==([^`\s]+)`")
_BUILDING = re.compile(r"Failed to (?:download and )?build `([^`\s]+)`")
_WAITING = "when waiting for lock on"
# uv waits for a source that another process builds; together these are as long as it waits by itself.
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
    """What a release says of itself: what a resolver has to know of it (PEP 643)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    requires_python: str | None = None


@dataclass(frozen=True)
class Renewal:
    """What stays of an earlier resolution.

    Attributes:
        preferred: what was resolved then, which stays as far as it fits; the newest is taken, if not given.
        upgraded: names of packages of which the newest is taken all the same.
        exceptions: the days of packages that are not as of the day of all others.
    """

    preferred: str | None = None
    upgraded: tuple[str, ...] = ()
    exceptions: Mapping[str, datetime.date] = field(default_factory=dict)


@dataclass(frozen=True)
class Uv:
    """uv with a cache below crosswheel's own, and the user's registry."""

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
        """Resolve requirements to exact versions with hashes; the result's exit code says whether it worked.

        Args:
            requirements: files of requirements.
            output: where the resolved requirements go.
            python: the interpreter that is asked for tags and markers.
            as_of: ignore what was published after this day (UTC).
            universal: for every platform instead of the interpreter's own, and without comments.
            extras: tell of each release the extras that are asked for.
            constraints: files of what is taken where it is asked for: bounds, and addresses of releases.
            metadata: the metadata of releases. Where it is given, uv runs no code of a release to learn its metadata: a
                release without readable metadata ends the resolution, and :func:`undescribed` names it.
            renewal: what stays of an earlier resolution; the newest of all is taken, if not given.
        """
        words: list[Word] = [
            "pip",
            "compile",
            "--no-header",
            "--generate-hashes",
            "--python",
            python,
        ]
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
        """Return the lock of a project of uv's, as it is, as a ``pylock.toml`` (PEP 751); no code of a project is run.

        Raises:
            BuildFailed: it cannot be read, or has no such group.
        """
        words: list[Word] = ["export", "--quiet", "--frozen", "--no-header", "--no-default-groups"]
        words += ["--format", "pylock.toml"]
        words += [word for group in groups for word in ("--group", group)]
        return self._run([*words, "--python", python, "--project", folder]).output

    def venv(self, folder: Path, *, python: Path) -> None:
        """Make an empty virtual environment."""
        self._run(["venv", "--quiet", "--no-project", "--clear", "--python", python, folder])

    def install_locked(self, requirements: Path, *, python: Path) -> None:
        """Install what a requirements file with hashes names, and nothing else."""
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
        """Install wheels into an environment, without what they require."""
        words: list[Word] = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--python", python]
        if wheels:
            self._run([*words, *wheels])

    def install_wheel(self, wheel: Path, folder: Path, *, python: Path, compiled: bool = True) -> Path:
        """Install one wheel, without what it requires; byte-compiled, if not told otherwise; return :func:`site_of` it.

        Args:
            folder: becomes a ``sys.prefix``: it gets ``lib/pythonX.Y/site-packages``, ``bin``, ``include``, and at its
                top what the wheel has as data (PEP 427).
            python: the interpreter that it is for.
        """
        words: list[Word] = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--python", python]
        words += ["--compile-bytecode"] if compiled else []
        self._run([*words, "--prefix", folder, wheel])
        return site_of(folder)

    def _run(self, words: Sequence[Word], *, check: bool = True, **variables: str) -> Result:
        """Run uv; where it waits long for what another is building, find out whether it waits for itself."""
        env = {"UV_LOCK_TIMEOUT": _LOCK_SECONDS, **self._environment(), **variables}
        for _ in range(_LOCK_TRIES):
            result = self.runner.run([find_uv_bin(), *words], env=env, check=False)
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
        env["UV_NO_CONFIG"] = "1"  # a project around the checkout must not take part
        env["UV_PYTHON_DOWNLOADS"] = "never"
        if has_system_trust():
            env.setdefault("UV_SYSTEM_CERTS", "true")
        if self.settings.registry:
            env["UV_DEFAULT_INDEX"] = self.settings.registry
        if self.settings.gateway:
            env["UV_INDEX"] = self.settings.gateway
        if self.settings.offline:
            env["UV_OFFLINE"] = "1"
        return env


def _refuse_loop(result: Result) -> None:
    """Raise :class:`LockError` if a source is needed to build itself: uv waits for the lock that it holds."""
    chain = _BUILDING.findall(result.output)
    twice = next((name for name in chain if chain.count(name) > 1), None)
    if twice:
        raise LockError(
            f"to build {twice}, {twice} is needed first: {' needs '.join(dict.fromkeys(chain))} needs {twice}",
            hint="one of them is to be had as a wheel: name another version of it with build_dependencies in a recipe.",
        )


def _stating(metadata: Sequence[ReleaseMetadata], folder: Path) -> list[Word]:
    """Return the options by which uv knows metadata, and asks no code for other; ``folder`` is for ``PYTHONPATH``."""
    releases = [release.model_dump(mode="json", exclude_none=True) for release in metadata]
    tables = [{key.replace("_", "-"): value for key, value in release.items()} for release in releases]
    write_text(folder / "uv.toml", tomlkit.dumps({"dependency-metadata": tables}))
    write_text(folder / "sitecustomize.py", f"raise SystemExit({_REFUSAL!r})\n")
    # A setting that no backend knows: uv keeps answers by settings, and must not find those of other ways to ask.
    settings = "--config-setting=crosswheel=1"
    return ["--no-build-isolation", settings, "--config-file", folder / "uv.toml"]


def undescribed(result: Result) -> tuple[str, str] | None:
    """Return the name and version of the release whose metadata uv has not, if that is what ended a resolution."""
    match = _UNDESCRIBED.search(result.output) if _REFUSAL in result.output else None
    return (match[1], match[2]) if result.returncode != 0 and match else None


def warnings(result: Result) -> list[str]:
    """Return what uv warned of, but for yanked releases: those are told whenever they are used."""
    every = _WARNING.findall(result.output)
    undated = sum(_UNDATED in text for text in every)
    passed_over = f"{undated} files were passed over, as the registry does not tell when they came to it"
    texts = [text for text in every if "is yanked" not in text and _UNDATED not in text]
    return [*texts, *([passed_over] if undated else [])]


def site_of(prefix: Path) -> Path:
    """Return the folder of site-packages of what was installed below a ``sys.prefix``."""
    return next(prefix.glob("lib/python*/site-packages"))


def require_answered(result: Result, subject: str) -> None:
    """Raise an error if the registry is why uv failed.

    Args:
        subject: what it was asked about, for people.

    Raises:
        NetworkError: it could not be reached.
        LockError: it does not tell when files were uploaded, and only those until a day were wanted.
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
    """Return the moment a day ends, in UTC, so that a lock does not depend on the time zone it is made in."""
    return f"{day + datetime.timedelta(days=1):%Y-%m-%d}T00:00:00Z"
