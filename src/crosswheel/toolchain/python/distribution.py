"""Provide Pythons from a Maven distribution with hashes in the target's file: the target's, and one for each host.

The target's has headers and sysconfig data for compiling, and runs under emulation.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from crosswheel.cached import CachedFolder
from crosswheel.download import connection_hint, download, is_absent
from crosswheel.errors import IntegrityError, NetworkError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Artifact, Target
from crosswheel.toolchain.python.bytecode import compile_library
from crosswheel.toolchain.python.tree import PythonTree

# Python.h up to 3.9 includes it, and zig lacks it. Extension modules get no function of it from Python.
_CRYPT = "/* Declares nothing: the compiler has no libcrypt for the target. */\n"


def published_python(
    target: Target, artifact: Artifact, settings: Settings, runner: Runner | None = None
) -> PythonTree:
    """Return one of the Pythons of a target's Maven distribution; download it if needed.

    Args:
        runner: runs the Python once to compile its standard library, if it is one for this machine.

    Raises:
        NetworkError: it could not be downloaded.
        IntegrityError: its bytes are not those that the target states.
    """
    kept = _kept(target, artifact, settings, is_host=runner is not None)

    def fill(temporary: Path) -> None:
        assert target.python.distribution is not None
        archive = _download(target.python.distribution, artifact, temporary / ".maven", settings)
        with zipfile.ZipFile(archive) as contents:
            contents.extractall(temporary)
        shutil.rmtree(temporary / ".maven")
        _restore_executable_bits(temporary)
        if target.python.numbers < (3, 10):
            for headers in temporary.glob("org/*/*/*/include/python*"):
                (headers / "crypt.h").write_text(_CRYPT)
        if runner:
            (program,) = temporary.glob(kept.holds[0])
            compile_library(_tree(program, target).stdlib, program, runner)

    (program,) = kept.make(fill).glob(kept.holds[0])
    return _tree(program, target)


def _tree(program: Path, target: Target) -> PythonTree:
    return PythonTree(program.parents[1], target.python.short)


def has_published(target: Target, artifact: Artifact, settings: Settings, *, is_host: bool = False) -> bool:
    """Return whether the cache has one of these Pythons; as one for this machine, or for the target."""
    return _kept(target, artifact, settings, is_host=is_host).is_whole


def _kept(target: Target, artifact: Artifact, settings: Settings, *, is_host: bool) -> CachedFolder:
    """Return the folder for a Python in the cache: it holds its program and headers, and bytecode for this machine."""
    root, short = f"org/*/*/{artifact.classifier}", target.python.short
    holds = [f"{root}/bin/python{short}", f"{root}/include/python{short}/pyconfig.h"]
    holds += [f"{root}/lib/python{short}/__pycache__/os.*.pyc"] if is_host else []
    name = artifact.sha256[:20] + ("-host" if is_host else "")
    return CachedFolder.of(settings.cache, "python", name, holds)


def _download(distribution: str, artifact: Artifact, folder: Path, settings: Settings) -> Path:
    """Download a Python's archive into a folder, from its path in Maven's repository layout."""
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
    from jgo.maven import MavenContext  # imported late: it takes a quarter of a second, and is needed once

    return str(next(iter(MavenContext(repo_cache=folder).remote_repos.values()))).rstrip("/")


def _restore_executable_bits(folder: Path) -> None:
    # A Maven archive is a zip without file modes.
    for path in folder.glob("org/*/*/*/bin/*"):
        path.chmod(0o755)
