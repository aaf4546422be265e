"""Resolves requirements files that use each feature of pip's format, beside what `uv pip compile` makes of the same.

uv is told the platform that the Flex is; the same releases are expected. What crosswheel does not honour it has to
refuse, with the file and the line.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from _measure import machine, say
from packaging.pylock import Package, Pylock
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from pypi_simple import PYPI_SIMPLE_ENDPOINT
from uv import find_uv_bin

from crosswheel.process import tail
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.settings import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AS_OF = "2025-04-25"
IDNA = (
    "idna==3.10 \\\n    --hash=sha256:12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9 \\\n"
    "    --hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3"
)


@dataclass(frozen=True)
class Case:
    """A requirements file.

    Attributes:
        lines: its text, in which ``$six_wheel`` and the like stand for what differs between machines.
        refused: what crosswheel says of a line that it does not honour; empty if it resolves the file.
        as_pip: the releases that the file names for pip, where uv refuses it.
    """

    title: str
    lines: str
    refused: str = ""
    encoding: str = "utf-8"
    as_pip: tuple[str, ...] = ()


CASES = (
    Case(
        "releases, ranges, one excluded, compatible",
        "idna>=3.4,<3.8\ncertifi!=2025.1.31,<2025.4\nattrs~=23.1\nsix\n",
    ),
    Case(
        "names in other spellings, blanks, no version",
        "Typing_Extensions == 4.12.2\nMarkupSafe(==3.0.2)\nsix\n",
    ),
    Case(
        "comments, blank lines, ends as on Windows",
        "# what it needs\r\n\r\nsix  # small\r\nidna==3.10\t#x\r\n",
    ),
    Case("extras", "httpx[http2,socks]==0.27.2\n"),
    Case("markers", "tomli==2.0.1; python_version < '3.11'\ncolorama; sys_platform == 'win32'\nsix\n"),
    Case(
        "markers of the machine", "six; platform_machine == 'aarch64'\nidna; platform_machine == 'x86_64'\n"
    ),
    Case(
        "a file that includes others, from their folders",
        "-r more/first.txt\n--requirement=more/second.txt\nsix\n",
    ),
    Case("constraints", "-c bounds.txt\nhttpx\n"),
    Case("hashes over several lines", f"{IDNA}\n"),
    Case(
        "hashes required, of several algorithms",
        f"--require-hashes\n{IDNA} \\\n    --hash=sha512:{'0' * 128}\n",
    ),
    Case(
        "a line continued after its version",
        "idna==3.10 \\\n  --hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3\n",
    ),
    Case(
        "a line continued in its middle",
        "idna \\\n  ==3.10 \\\n  ; python_version \\\n  > '3'\n",
        as_pip=("idna==3.10",),
    ),
    Case("only wheels, and those preferred", "--only-binary=:all:\n--prefer-binary\nsix\n"),
    Case("one from its source", "--no-binary six\nsix==1.17.0\n"),
    Case(
        "some from their source, after commas", "--no-binary six,idna\nsix==1.17.0\n", as_pip=("six==1.17.0",)
    ),
    Case("the registry, in a variable", "--index-url ${BENCH_INDEX}\nsix==1.17.0\n"),
    Case(
        "variables in paths and addresses", "-r ${BENCH_FOLDER}/first.txt\nlab @ file://${BENCH_HERE}/lab\n"
    ),
    Case("arbitrary equality", "six===1.16.0\n"),
    Case("a pre-release by name", "pytest==8.0.0rc1\n"),
    Case("a byte order mark", "six==1.17.0  # é\n", encoding="utf-8-sig"),
    Case("UTF-16", "six==1.17.0  # é\n", encoding="utf-16"),
    Case("a folder, editable, with extras", "-e ./lab[vision]\nsix\n"),
    Case(
        "a folder, by name and by path",
        "./more/other\nlab[vision] @ file://$here/lab ; python_version < '3.11'\n",
    ),
    Case("an editable whose marker does not hold", "-e ./lab ; sys_platform == 'win32'\nsix\n"),
    Case(
        "a tag of a repository, with a folder of it",
        "other @ git+file://$here/repository@v1#subdirectory=other\n",
    ),
    Case(
        "an editable of a repository, by its egg",
        "-e git+file://$here/repository@v1#egg=other&subdirectory=other\n",
        as_pip=("other==1.0", "sniffio==1.3.1"),
    ),
    Case("a repository, by its egg", "git+file://$here/repository@v1#egg=other&subdirectory=other\n"),
    Case("a wheel at an address, with its hash", "$six_wheel#sha256=$six_hash\n"),
    Case("an sdist at an address, by name", "six @ $six_sdist\n"),
    Case("a wheel beside the file", "./$six_file\n"),
    Case("another registry as well", "six\n--extra-index-url ${BENCH_INDEX}\n"),
    Case("a folder of files", "--find-links=./more\nsix\n", "line 1: --find-links"),
    Case("pre-releases of all", "--pre\nsix\n", "line 1: --pre"),
    Case("a host that is trusted", "six\n--trusted-host localhost\n", "line 2: --trusted-host"),
    Case("options for a build", 'six --global-option="--quiet"\n', "line 1: options of a requirement"),
    Case(
        "a hash of another algorithm alone", f"six==1.17.0 --hash=sha512:{'0' * 128}\n", "line 1: its hashes"
    ),
)
PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1.0"
dependencies = ["{requirement}"]
[project.optional-dependencies]
vision = ["idna==3.9"]
"""
BESIDE = {
    "more/first.txt": "idna==3.9\n-r second.txt\n",
    "more/second.txt": "sniffio\n",
    "bounds.txt": "httpx<0.28\nanyio<4.5\n",
    "lab/pyproject.toml": PROJECT.format(name="lab", requirement="six==1.16.0"),
    "lab/lab.py": "",
    "more/other/pyproject.toml": PROJECT.format(name="other", requirement="sniffio"),
    "more/other/other.py": "",
    "repository/other/pyproject.toml": PROJECT.format(name="other", requirement="sniffio"),
    "repository/other/other.py": "",
}


_WAYS = ("equal", "read as pip does where uv refuses", "refused with file and line", "different")


@dataclass
class Bench:
    """What all files share: a registry, and how many came out in which way."""

    six: Mapping[str, ReleaseFile]
    registry: Registry
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WAYS, 0))

    def row(self, case: Case) -> str:
        """Resolve a file both ways; return its row."""
        with tempfile.TemporaryDirectory(prefix="files.") as name:
            folder = Path(name).resolve()
            self._lay(case, folder)
            ours, told = _ours(folder)
            if case.refused:
                refused = f"requirements.txt, {case.refused}" in told
                self.counts["refused with file and line" if refused else "different"] += 1
                return f"| {case.title} | | {'refused' if refused else 'not refused'}: {case.refused} … |"
            theirs = _theirs(folder)
        if case.as_pip and not theirs:
            same = ours == set(case.as_pip)
            self.counts["read as pip does where uv refuses" if same else "different"] += 1
            return f"| {case.title} | {', '.join(sorted(ours))} | {'uv refuses it' if same else 'no'} |"
        if not ours or not theirs or ours != theirs:
            say(told)
        equal = bool(ours) and ours == theirs
        self.counts["equal" if equal else "different"] += 1
        verdict = "yes" if equal else f"no: uv has {', '.join(sorted(theirs)) or 'nothing'}"
        return f"| {case.title} | {', '.join(sorted(ours))} | {verdict} |"

    def _lay(self, case: Case, folder: Path) -> None:
        (folder / "packages").mkdir()
        for file, content in BESIDE.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content)
        wheel, sdist = self.six["wheel"], self.six["sdist"]
        self.registry.fetch(wheel, folder=folder)
        _commit(folder / "repository")
        text = case.lines.replace("$here", str(folder)).replace("$six_wheel", wheel.url)
        text = text.replace("$six_sdist", sdist.url).replace("$six_hash", wheel.sha256)
        text = text.replace("$six_file", wheel.filename)
        (folder / "requirements.txt").write_bytes(text.encode(case.encoding))


def main() -> None:
    """Resolve each both ways, print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="those whose title has this text in it")
    only = parser.parse_args().only
    print(f"as of {AS_OF}, for the Flex, on {machine()}\n")
    print("| file with | releases | the same as uv's |\n| --- | --- | --- |")
    with Registry(Settings.from_environment()) as registry:
        six = {str(file.kind): file for file in registry.release_files("six", "1.17.0")}
        bench = Bench(six, registry)
        for case in (case for case in CASES if only in case.title):
            say(case.title)
            print(bench.row(case), flush=True)
    words = ", ".join(f"{count} {what}" for what, count in bench.counts.items())
    print(f"\n{sum(bench.counts.values())} files: {words}")
    sys.exit(bench.counts["different"] != 0)


def _commit(folder: Path) -> None:
    who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (
        ["init", "--quiet"],
        ["add", "."],
        [*who, "commit", "--quiet", "-m", "first"],
        ["tag", "v1"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)


def _ours(folder: Path) -> tuple[set[str], str]:
    """Return what `crosswheel plan` resolves, and all that it said."""
    words = [str(Path(sys.executable).with_name("crosswheel")), "plan", "-r", "requirements.txt"]
    done = _run([*words, "--target", "flex", "--as-of", AS_OF], folder)
    rows = re.findall(r"^(\S+)\s+(\S+)\s+(?:take|build)\s", done.stdout, re.MULTILINE)
    told = " ".join((done.stdout + done.stderr).split())
    return {f"{name}=={version}" for name, version in rows}, told


def _theirs(folder: Path) -> set[str]:
    """Return what `uv pip compile` resolves."""
    platform = ["--python-platform", "aarch64-manylinux2014", "--python-version", "3.10"]
    words = [
        find_uv_bin(),
        "pip",
        "compile",
        "--quiet",
        "requirements.txt",
        "--exclude-newer",
        AS_OF,
        *platform,
    ]
    done = _run([*words, "--format", "pylock.toml", "--no-header", "--output-file", "pylock.toml"], folder)
    if done.returncode != 0:
        say(f"uv: {tail(done.stdout + done.stderr, 8)}")
        return set()
    lock = Pylock.from_dict(tomllib.loads((folder / "pylock.toml").read_text()))
    return {f"{package.name}=={_version(package)}" for package in lock.packages}


def _version(package: Package) -> str:
    """Return a release's version; that of an archive is in its name, and uv states none for a folder: all have 1.0."""
    if package.version is not None:
        return str(package.version)
    if package.archive is None:
        return "1.0"
    name = Path(package.archive.path or str(package.archive.url)).name
    return str((parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename)(name)[1])


def _run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {
        **os.environ,
        "COLUMNS": "300",
        "BENCH_INDEX": Settings.from_environment().registry or PYPI_SIMPLE_ENDPOINT,
        "BENCH_FOLDER": "more",
        "BENCH_HERE": str(folder),
    }
    return subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True)


if __name__ == "__main__":
    main()
