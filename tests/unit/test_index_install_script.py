"""What install.sh of an index tells pip: which host is trusted without a certificate, and which version is meant."""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

import pytest

_PRINT_ARGUMENTS = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


def told_pip(folder: Path, index: str, requirement: str = "hello==1.0") -> list[str]:
    """Run the script with programs that only print what they were told; return what pip was."""
    for program in ("pip", "python3"):
        (folder / program).write_text(_PRINT_ARGUMENTS)
        (folder / program).chmod(0o755)
    script = str(resources.files("crosswheel.index") / "assets" / "install.sh")
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    words = ["sh", script, index, requirement, str(folder / "environment")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    return said[said.index("--python") :]


@pytest.mark.parametrize(
    "index",
    [
        "https://lab.example",
        "HTTPS://lab.example:8443/wheels/",
        "https://me:secret@lab.example",
        "file:///var/i",
    ],
)
def test_certificates_are_checked_wherever_there_are_any(tmp_path: Path, index: str) -> None:
    assert "--trusted-host" not in told_pip(tmp_path, index)


@pytest.mark.parametrize(
    ("index", "host"),
    [
        ("http://lab.example", "lab.example"),
        ("http://192.168.1.20:8000/wheels", "192.168.1.20:8000"),
        ("HTTP://lab.example/", "lab.example"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[fe80::1]/a/b", "[fe80::1]"),
        ("http://user:password@lab.example:80", "lab.example:80"),
        ("http://user:p%40ss@[fe80::1]:80", "[fe80::1]:80"),
        ("http://us@er:pass@lab.example", "lab.example"),
        ("http://lab.example?a@b", "lab.example"),
    ],
)
def test_without_certificates_the_very_host_of_the_index_is_trusted(
    tmp_path: Path, index: str, host: str
) -> None:
    said = told_pip(tmp_path, index)
    assert said[said.index("--trusted-host") + 1] == host
    assert f"{index.rstrip('/')}/simple/" in said


@pytest.mark.parametrize("requirement", ["hello==1.0", "hello == 1.0"])
def test_an_exact_version_is_that_of_the_ordinary_wheel(tmp_path: Path, requirement: str) -> None:
    assert "hello===1.0" in told_pip(tmp_path, "http://lab.example", requirement)
