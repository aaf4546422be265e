"""The target's Python, and its twin of the same version for the machine that builds.

Both come from one Maven distribution, whose files' hashes the target states. The target's has headers and
sysconfig data for compiling, and runs under emulation; the host's runs the build backends, which must be
of the target's version.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

from crosswheel.download import connection_hint, download, is_absent
from crosswheel.errors import IntegrityError, NetworkError, TargetError
from crosswheel.files import cached_folder, is_whole
from crosswheel.settings import Settings
from crosswheel.targets import Artifact, Target
from crosswheel.toolchain.python.tree import PythonTree

# Python.h of 3.9 and before includes it, and zig has none. An extension module gets no function of it from Python.
_CRYPT = "/* Declares nothing: the compiler has no libcrypt for the target. */\n"


def target_python(target: Target, settings: Settings) -> PythonTree:
    """Return the target's own Python, downloaded if need be; one to compile for alone, where no other can be had.

    Raises:
        NetworkError: it could not be downloaded.
        IntegrityError: its bytes are not those that the target states.
    """
    if target.python.target:
        return _tree(target, target.python.target, settings)
    from crosswheel.toolchain.python.headers import headers_for  # it is made of trees

    assert target.python.headers is not None
    return headers_for(target, _tree(target, target.python.headers, settings), settings.cache)


def host_python(target: Target, settings: Settings) -> PythonTree:
    """Return a Python of the target's version for this machine, downloaded if need be.

    Raises:
        TargetError: the target names none for this kind of machine.
        NetworkError: it could not be downloaded.
        IntegrityError: its bytes are not those that the target states.
    """
    machine = os.uname().machine
    if machine not in target.python.host:
        raise TargetError(
            f"target {target.name} names no host Python {target.python.version} for {machine}",
            hint=f"build on {', '.join(sorted(target.python.host))}; or add [python.host].{machine} to its file.",
        )
    return _tree(target, target.python.host[machine], settings)


def _tree(target: Target, artifact: Artifact, settings: Settings) -> PythonTree:
    folder, patterns = _kept(target, artifact, settings)

    def fill(temporary: Path) -> None:
        archive = _download(target.python.distribution, artifact, temporary / ".maven", settings)
        with zipfile.ZipFile(archive) as contents:
            contents.extractall(temporary)
        shutil.rmtree(temporary / ".maven")
        _restore_executable_bits(temporary)
        if target.python.numbers < (3, 10):
            for headers in temporary.glob("org/*/*/*/include/python*"):
                (headers / "crypt.h").write_text(_CRYPT)

    cached_folder(folder, patterns, fill)
    (program,) = folder.glob(patterns[0])
    return PythonTree(program.parents[1], target.python.short)


def has_pythons(target: Target, settings: Settings) -> bool:
    """Tell whether both Pythons of a target, its own and its twin for this machine, were downloaded before."""
    artifact_of_target = target.python.target or target.python.headers
    host = target.python.host.get(os.uname().machine)
    return all(
        artifact and is_whole(*_kept(target, artifact, settings)) for artifact in (artifact_of_target, host)
    )


def _kept(target: Target, artifact: Artifact, settings: Settings) -> tuple[Path, tuple[str, ...]]:
    """Return the folder where a Python is kept, and what of it must be there: the program and its headers."""
    root, short = f"org/*/*/{artifact.classifier}", target.python.short
    patterns = (f"{root}/bin/python{short}", f"{root}/include/python{short}/pyconfig.h")
    return settings.cache / "python" / artifact.sha256[:20], patterns


def _download(distribution: str, artifact: Artifact, folder: Path, settings: Settings) -> Path:
    """Download a Python's archive into a folder, from where Maven's layout of repositories has it."""
    group, name, version = distribution.split(":")
    described = f"Python {distribution} ({artifact.classifier})"
    if settings.offline:
        raise NetworkError(f"{described} is not in the cache", hint="run once without CROSSWHEEL_OFFLINE.")
    file = f"{name}-{version}-{artifact.classifier}.jar"
    url = f"{_repository(settings, folder)}/{group.replace('.', '/')}/{name}/{version}/{file}"
    try:
        return download(url, folder / file, sha256=artifact.sha256, settings=settings)
    except NetworkError as error:
        if is_absent(error):
            message = f"{described} could not be downloaded: the Maven repository has no {file}"
            hint = "correct distribution and classifier in the target file"
        else:
            message = f"{described} could not be downloaded: {error}"
            hint = connection_hint(error.message, "check the network").rstrip(".")
        raise NetworkError(
            message, hint=f"{hint}; CROSSWHEEL_MAVEN_URL names another Maven repository."
        ) from error
    except IntegrityError as error:
        raise IntegrityError(
            f"{described} has the wrong hash: {error}",
            hint=f"it is not kept. See whether the sha256 in the target file is that of {file}; if it is, the "
            "repository serves something else.",
        ) from error


def _repository(settings: Settings, folder: Path) -> str:
    if settings.maven:
        return settings.maven.rstrip("/")
    from jgo.maven import MavenContext  # late: it takes a quarter of a second, and is needed once

    return str(next(iter(MavenContext(repo_cache=folder).remote_repos.values()))).rstrip("/")


def _restore_executable_bits(folder: Path) -> None:
    # A Maven archive is a zip made without permissions.
    for path in folder.glob("org/*/*/*/bin/*"):
        path.chmod(0o755)
