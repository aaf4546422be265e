"""A private registry beside the public one: what belongs to it comes from there alone; its password goes nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command_line import CommandLine, Done, command_line
from support.projects import own_project, write_tree
from support.registries import LocalRegistry, local_registry
from support.wheels import make_wheel

PASSWORD = "correct-horse-battery"  # of nobody
LOGIN = {"UV_INDEX_LAB_USERNAME": "me", "UV_INDEX_LAB_PASSWORD": PASSWORD}


@dataclass
class Lab:
    """A command line with a public registry and a private one, which wants a password."""

    line: CommandLine
    private: LocalRegistry

    def run(self, *words: str, **variables: str) -> Done:
        index = ("--index", f"lab={self.private.url}/", "--from-index", "lab-*=lab")
        return self.line.run(
            *words, *index, **{"HOME": str(self.line.folder), "NETRC": "/dev/null", **variables}
        )

    @property
    def asked_public(self) -> set[str]:
        return {
            path.split("/")[2] for path in self.line.registry.server.requested if path.startswith("/simple/")
        }

    @property
    def asked_private(self) -> set[str]:
        return {path.split("/")[2] for path in self.private.server.requested if path.startswith("/simple/")}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with command_line(tmp_path) as line, local_registry(tmp_path / "private") as private:
        private.add(make_wheel(tmp_path / "w", "lab-core", "1.0", {"lab_core.py": b""}, requires=["six"]))
        private.server.password = f"me:{PASSWORD}"
        line.offer_wheel(
            "lab-core", "9.0", files={"lab_core.py": b"stolen = True\n"}
        )  # anyone may put it there
        line.offer_wheel("lab-gone", "9.0", files={"lab_gone.py": b""})
        line.offer_wheel("six", files={"six.py": b""})
        yield Lab(line, private)


def test_what_belongs_to_a_private_registry_is_asked_for_there_alone_and_the_password_is_nowhere(
    lab: Lab,
) -> None:
    folder = lab.line.folder
    write_tree(folder / "robot", own_project("robot", requires=("lab-core",)))
    outputs = []
    for words in (
        ["build", "./robot"],
        ["add", "lab-core", "--as-of", "2024-12-31"],
        ["lock"],
        ["plan", "lab-core"],
    ):
        done = lab.run(*words, **LOGIN)
        assert done.returncode == 0, done.output
        outputs.append(done.output)
    assert "lab-core 1.0" in " ".join(outputs[0].split())
    assert (lab.asked_public, lab.asked_private) == ({"six"}, {"lab-core"})
    trees = [path for name in ("packages", "build", "dist", "index") for path in (folder / name).rglob("*")]
    files = [path for path in [*trees, *(lab.line.cache / "registry").rglob("*")] if path.is_file()]
    assert len(files) > 20
    secrets = (PASSWORD.encode(), b"bWU6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5")  # as it is, and as HTTP sends it
    assert not [path for path in files for secret in secrets if secret in path.read_bytes()]
    assert PASSWORD not in "".join(outputs)


def test_credentials_come_from_netrc_or_keyring(lab: Lab, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {PASSWORD}\n")
    assert lab.run("plan", "lab-core", NETRC=str(netrc)).returncode == 0
    keyring = (
        write_tree(tmp_path / "bin", {"keyring": f"#!/bin/sh\nprintf 'me\\n{PASSWORD}\\n'\n"}) / "keyring"
    )
    keyring.chmod(0o755)
    path = f"{keyring.parent}:{lab.line.environment()['PATH']}"
    done = lab.run("plan", "lab-core==1.0", PATH=path, UV_KEYRING_PROVIDER="subprocess")
    assert done.returncode == 0, done.output


def test_a_registry_that_wants_credentials_or_lacks_the_package_is_told_and_the_public_one_not_asked(
    lab: Lab,
) -> None:
    lab.run("plan", "lab-core").explains(2, "401")
    lab.run("plan", "lab-gone", **LOGIN).explains(2, "lab-gone")
    assert not lab.asked_public & {"lab-core", "lab-gone"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--index", "lab=https://me:secret@host/simple"], "has a name or a password in it"),
        (["--index", "lab=https://host/simple"], "nothing belongs to the registry lab"),
        (["--from-index", "x=lab"], "there is no registry 'lab'"),
        (["--index", "https://host/simple"], "names no registry"),
    ],
)
def test_a_registry_that_cannot_be_used_is_refused(lab: Lab, words: list[str], reason: str) -> None:
    done = lab.line.run("plan", "six", *words)
    done.explains(2, reason)
    assert "secret" not in done.output


def test_a_project_that_names_a_registry_which_is_not_given_is_told_which(lab: Lab) -> None:
    sources = "lab-core = {index = 'lab'}\n"
    write_tree(
        lab.line.folder / "robot", own_project("robot", requires=("lab-core",), tool__uv__sources=sources)
    )
    lab.line.run("plan", "./robot").explains(
        2, "lab-core belongs to the registry lab", "--from-index lab-core=lab"
    )
    assert lab.run("plan", "./robot", **LOGIN).returncode == 0


def test_a_files_extra_registry_comes_first_and_what_others_have_as_well_is_told(
    lab: Lab, tmp_path: Path
) -> None:
    lab.private.add(make_wheel(tmp_path / "x", "six", "0.9", {"six.py": b""}))
    lab.line.offer_wheel("idna", files={"idna.py": b""})
    address = lab.private.url.replace("//", f"//me:{PASSWORD}@")
    lines = "--extra-index-url ${LAB}/\nlab-core\nidna\n"
    (lab.line.folder / "requirements.txt").write_text(lines)
    done = lab.line.run("build", "-r", "requirements.txt", LAB=address)
    assert done.returncode == 0, done.output
    public, private = (registry.url.split("/")[2] for registry in (lab.line.registry, lab.private))
    for text in (
        "requirements.txt names the registry on 127.0.0.1 as well: it is asked for every package",
        f"lab-core is on several registries: it comes from {private}, not from {public}",
        f"six is on several registries: it comes from {private}, not from {public}",
    ):
        assert text in done.words
    assert "idna is on" not in done.words
    dist = {
        path.parent.relative_to(lab.line.folder / "dist") for path in lab.line.folder.rglob("dist/*/*/*.whl")
    }
    assert {str(path) for path in dist} == {"lab-core/1.0", "six/0.9", "idna/1.0"}
    files = [path for path in lab.line.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
    assert PASSWORD not in done.output


def test_an_extra_registry_that_does_not_answer_is_told_and_nothing_is_taken_from_others(lab: Lab) -> None:
    (lab.line.folder / "requirements.txt").write_text(f"--extra-index-url {lab.private.url}/\nsix\n")
    lab.line.run("plan", "-r", "requirements.txt").explains(2, "401")


def test_what_was_resolved_from_other_registries_is_resolved_again(lab: Lab) -> None:
    """On one day, a resolution is kept: that of the public registry's package is not the private one's."""
    assert "lab-core 9.0 take" in lab.line.run("plan", "lab-core").words
    assert "lab-core 1.0 take" in lab.run("plan", "lab-core", **LOGIN).words
    assert "lab-core 9.0 take" in lab.line.run("plan", "lab-core").words
