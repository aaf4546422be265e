"""The checkout's environment: which Python it is made with, and what is said where there is none."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[2]
_BASE = os.pathsep.join([str(Path(sys._base_executable).parent), os.defpath])  # type: ignore[attr-defined]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for PATH with what the shell needs, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "cat", "id", "rm"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def python(folder: Path, version: str, *, new_enough: bool) -> None:
    """Put a Python there that can import no venv."""
    answer = f'case "$*" in --version) echo Python {version};; *venv*) exit 1;; *) exit {0 if new_enough else 1};; esac'
    program(folder, "python3", answer)


def new_environment(machine: Path, **more: str) -> subprocess.CompletedProcess[str]:
    script = f'. "{_CHECKOUT}/scripts/bootstrap.sh"; new_environment "{machine.parent}/venv"'
    env = {name: value for name, value in os.environ.items() if name != "CROSSWHEEL_PYTHON"}
    return subprocess.run(
        ["bash", "-c", script],
        env={**env, "PATH": str(machine), **more},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_named_with_the_way_to_a_newer_one(machine: Path) -> None:
    python(machine, "3.9.2", new_enough=False)
    done = new_environment(machine)
    assert done.returncode == 2
    assert "needs a Python 3.10 or newer with its venv module, and Python 3.9.2 is too old." in done.stderr
    assert "pip install uv" in done.stderr


def test_a_python_without_venv_is_told_from_none(machine: Path) -> None:
    assert "and there is none." in new_environment(machine).stderr
    python(machine, "3.11.2", new_enough=True)
    assert "and Python 3.11.2 is here without its venv module." in new_environment(machine).stderr


def test_uv_is_asked_for_a_python_that_is_new_enough(machine: Path) -> None:
    program(machine, "uv", f'echo "$@" > "{machine.parent}/asked"')
    assert new_environment(machine).returncode == 0
    assert "--python >=3.10 " in (machine.parent / "asked").read_text()
    new_environment(machine, CROSSWHEEL_PYTHON="python3.12")
    assert "--python python3.12 " in (machine.parent / "asked").read_text()


@pytest.mark.parametrize("runner", ["", "pip_runner() { echo /nowhere; }"])
def test_an_environment_gets_a_pip_of_its_own_only_where_that_of_its_python_cannot_install_into_it(
    machine: Path, runner: str
) -> None:
    for name in ("python3", "dirname"):
        (machine / name).symlink_to(str(shutil.which(name, path=_BASE)))
    environment = machine.parent / "venv"
    script = f'. "{_CHECKOUT}/scripts/bootstrap.sh"; {runner}\nnew_environment "$1" && find_pip "$1"'
    env = {
        name: value for name, value in os.environ.items() if name not in ("CROSSWHEEL_PYTHON", "PYTHONPATH")
    }
    listed = subprocess.run(
        [
            "bash",
            "-c",
            f'{script} && "${{pip[@]}}" --disable-pip-version-check list --format=json',
            "",
            environment,
        ],
        env={**env, "PATH": str(machine)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (environment / "bin" / "pip").exists() == bool(runner)
    names = {package["name"] for package in json.loads(listed.stdout)}
    assert names <= {"pip", "setuptools"}  # what it lists, and so installs into, is this environment
    assert ("pip" in names) == bool(runner)


# As after `git pull`, where the new code imports a library that the environment does not have yet; and a Python that
# was built where liblzma was missing.
@pytest.mark.parametrize(
    ("module", "words", "expected"),
    [
        ("cryptography", ["keys", "show"], ["needs the library cryptography", "./build-packages --help"]),
        ("_lzma", ["doctor"], ["was built without lzma of the standard library", "CROSSWHEEL_PYTHON"]),
    ],
)
def test_an_environment_that_lacks_a_module_is_told_how_to_be_renewed(
    tmp_path: Path, module: str, words: list[str], expected: list[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules['{module}'] = None\n")
    done = subprocess.run(
        [sys.executable, "-c", "from crosswheel.cli import main; main()", *words],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert [text for text in expected if text not in " ".join(done.stderr.split())] == []
    assert "Traceback" not in done.stderr


def install_requirements(folder: Path, *, uv: str, **more: str) -> tuple[int, list[str]]:
    """Install into an environment whose programs write down how they are called; return the exit code and the calls."""
    programs, calls = folder / "venv" / "bin", folder / "calls"
    programs.mkdir(parents=True)
    program(programs, "pip", "exit 1")  # it is there, and called as a module
    listed = (
        "global.index-url='http://all/simple'",
        "global.timeout='9'",
        "install.index-url='http://mirror/simple'",
    )
    config = f'case "$*" in *"config list"*) printf "%s\\n" {shlex.join(listed)};;'
    python = f'{config} *) echo "pip $*" >> "{calls}";; esac\n'
    requirements = f'for last; do :; done\ncase "$last" in /dev/fd/*) cat "$last" >> "{folder}/of-pip";; esac'
    program(programs, "python", python + requirements)
    program(programs, "uv", f'echo "uv $UV_DEFAULT_INDEX|$SSL_CERT_FILE|$*" >> "{calls}"; {uv}')
    script = f'. "{_CHECKOUT}/scripts/bootstrap.sh"; install_requirements "{folder}/venv" run.txt "{folder}"'
    unset = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    (folder / "run.txt").write_text("a==1\nuv==2 \\\n    --hash=sha256:00\nz==3\n")
    done = subprocess.run(["bash", "-c", script], env={**env, **more}, cwd=folder, check=False)
    return done.returncode, calls.read_text().splitlines()


def test_uv_installs_from_the_registry_and_with_the_certificates_that_pip_is_set_up_with(
    tmp_path: Path,
) -> None:
    code, calls = install_requirements(tmp_path / "configured", uv="true")
    assert code == 0
    assert [call.split()[0] for call in calls] == ["pip", "uv", "uv"]
    assert (tmp_path / "configured" / "of-pip").read_text() == "uv==2 \\\n    --hash=sha256:00\n"
    assert all(call.startswith("uv http://mirror/simple||pip install ") for call in calls[1:])
    _, calls = install_requirements(
        tmp_path / "set", uv="true", PIP_INDEX_URL="http://own/simple", PIP_CERT="own.pem"
    )
    assert all(call.startswith("uv http://own/simple|own.pem|pip install ") for call in calls[1:])


def test_pip_installs_what_uv_cannot(tmp_path: Path) -> None:
    code, calls = install_requirements(tmp_path, uv="exit 2")
    assert code == 0
    assert [call.split()[0] for call in calls] == ["pip", "uv", "pip", "pip"]
    assert "--require-hashes -r run.txt" in calls[2]
