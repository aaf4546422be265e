"""Resolves requirement files that use each feature of pip's format, beside what `uv pip compile` makes of the same.

uv is told the platform that the Flex is; the same releases are expected, or that crosswheel names what it refuses.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import machine, say
from uv import find_uv_bin

AS_OF = "2025-04-25"
HASHED = (
    "idna==3.10 \\\n    --hash=sha256:12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9 \\\n"
    "    --hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3\n"
)
FILES = {
    "exact release": "idna==3.10\n",
    "range": "idna>=3.4,<3.8\n",
    "no version": "six\n",
    "comments and blank lines": "# what it needs\n\nsix  # small\n",
    "extra": "httpx[http2]==0.27.2\n",
    "marker that holds": "tomli==2.0.1; python_version < '3.11'\nsix\n",
    "marker that does not": "colorama; sys_platform == 'win32'\nsix\n",
    "marker of the machine": "six; platform_machine == 'aarch64'\nidna; platform_machine == 'x86_64'\n",
    "included file": "-r more.txt\nsix\n",
    "constraints": "-c bounds.txt\nhttpx\n",
    "hashes over several lines": HASHED,
    "compatible release": "attrs~=23.1\n",
    "excluded release": "certifi!=2025.1.31,<2025.4\n",
    "pre-release by name": "attrs==24.1.0\nuvicorn==0.34.0\n",
    "normalised names": "Typing_Extensions==4.12.2\nMarkupSafe==3.0.2\n",
    "long line continued": "idna \\\n  ==3.10\n",
    "only wheels": "--only-binary :all:\nsix\n",
    "one from its source": "--no-binary six\nsix==1.17.0\n",
    "a variable": "idna==${IDNA_VERSION}\n",
    "arbitrary equality": "six===1.16.0\n",
}
BESIDE = {"more.txt": "idna==3.9\n", "bounds.txt": "httpx<0.28\nanyio<4.5\n"}


def main() -> None:
    """Resolve each both ways, print a row for each."""
    print(f"as of {AS_OF}, for the Flex, on {machine()}\n")
    print("| file with | releases | the same as uv's |\n| --- | --- | --- |")
    different = 0
    for title, text in FILES.items():
        say(title)
        with tempfile.TemporaryDirectory(prefix="files.") as name:
            folder = Path(name)
            (folder / "packages").mkdir()
            for file, content in {**BESIDE, "requirements.txt": text}.items():
                (folder / file).write_text(content)
            ours, theirs = _ours(folder), _theirs(folder)
        different += ours != theirs
        verdict = "yes" if ours == theirs else f"no: {', '.join(sorted(ours ^ theirs))}"
        print(f"| {title} | {', '.join(sorted(ours))} | {verdict} |", flush=True)
    sys.exit(different != 0)


def _ours(folder: Path) -> set[str]:
    words = [str(Path(sys.executable).with_name("crosswheel")), "plan", "-r", "requirements.txt"]
    output = _run([*words, "--target", "flex", "--as-of", AS_OF], folder)
    rows = re.findall(r"^(\S+)\s+(\S+)\s+(?:take|build)\s", output, re.MULTILINE)
    return {f"{name}=={version}" for name, version in rows}


def _theirs(folder: Path) -> set[str]:
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
    output = _run([*words, "--no-header", "--no-annotate"], folder)
    return {re.split(r"[ ;]", line)[0] for line in output.splitlines() if "==" in line}


def _run(words: list[Path | str], folder: Path) -> str:
    variables = {**os.environ, "COLUMNS": "300", "IDNA_VERSION": "3.10"}
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode != 0:
        say(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
