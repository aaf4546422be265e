"""How fast is the index at size: ours, which reads the wheels, beside dumb-pypi, which is handed their data.

Makes 10,000 wheels of 1,000 projects, lets both write a whole site, adds one wheel, and lets both bring the
site up to date. The wheels have proofs beside them, as `crosswheel build` leaves them, unless it is told otherwise:
without, ours checks every member. Ours is the whole command, start-up included. Prints seconds and ratios, and the
state of the machine; exits with 1 when ours is slower, or needs more than 1 s for the added wheel.

Usage: bench/index [--projects 1000] [--versions 10] [--without-proofs] [--folder DIR]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from _measure import ROOT, machine

from crosswheel.check.proof import Proof

README = """# Project {number}

A library that does *one* thing. See [the documentation](https://example.org/docs/{number}).

## Use

```python
import project_{number}
project_{number}.run("fast", count={number})
```

| option | meaning |
| --- | --- |
| `fast` | do it at once |
| `slow` | do it later |

""" + "\n\n".join(
    f"### Part {part}\n\n" + "Some more text, as long as READMEs are, about what it is good for. " * 6
    for part in range(8)
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--projects", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="work here, and keep it")
    parser.add_argument("--without-proofs", action="store_true", help="wheels have no proofs beside them")
    given = parser.parse_args(arguments)
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        return measure(
            given.folder or Path(temporary), given.projects, given.versions, not given.without_proofs
        )


def measure(folder: Path, projects: int, versions: int, proofs: bool) -> int:
    dist = folder / "dist"
    for number in range(projects):
        for version in range(versions):
            make_wheel(dist, number, version, proofs)
    for left in ("packages.json", "packages-before.json"):
        (folder / left).unlink(missing_ok=True)
    for left in ("ours", "theirs"):
        shutil.rmtree(folder / left, ignore_errors=True)
    theirs = [dumb_pypi(folder)]
    ours = [crosswheel(folder)]
    make_wheel(dist, 0, versions + int(time.time()), proofs)  # one that is new in a kept folder, too
    theirs.append(dumb_pypi(folder))
    ours.append(crosswheel(folder))
    print(f"{projects * versions} wheels of {projects} projects    crosswheel   dumb-pypi   ratio")
    for what, our, their in zip(("the whole site", "one wheel added"), ours, theirs):
        print(f"{what:<36}{our:9.2f} s {their:9.2f} s {our / their:7.2f}")
    return int(ours[0] > theirs[0] or ours[1] > 1)


def make_wheel(dist: Path, number: int, version: int, proven: bool) -> None:
    name = f"project_{number}"
    folder = dist / name.replace("_", "-") / f"1.{version}"
    path = folder / f"{name}-1.{version}-py3-none-any.whl"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.{version}.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.{version}\nSummary: Does thing {number}\n"
        f"Requires-Python: >=3.8\nRequires-Dist: project_{number // 2}>=1\nRequires-Dist: requests>=2\n"
        "Description-Content-Type: text/markdown\n\n" + README.format(number=number)
    )
    files = {f"{name}/part_{part}.py": f"x = {part}\n".encode() * 200 for part in range(6)}
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: b\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{file},{record_hash(data)},{len(data)}\n" for file, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in files.items():
            archive.writestr(file, data)
    if proven:
        Proof(
            wheel=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            target="ot2",
            origin="taken",
            reason="a pure wheel",
            source="the registry",
            emulator="qemu-arm 7.2.0, CPython 3.10.8",
            imported=(name,),
        ).write_beside(path)


def record_hash(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def dumb_pypi(folder: Path) -> float:
    """Write dumb-pypi's site; it is told what is in the wheels, so that is not part of its time."""
    packages, previous = folder / "packages.json", folder / "packages-before.json"
    if packages.exists():
        packages.replace(previous)
    with packages.open("w") as stream:
        for wheel in sorted((folder / "dist").rglob("*.whl")):
            said = {
                "filename": wheel.name,
                "hash": "sha256=" + hashlib.sha256(wheel.read_bytes()).hexdigest(),
                "requires_python": ">=3.8",
                "upload_timestamp": int(wheel.stat().st_mtime),
                "core_metadata": "sha256=0",
            }
            stream.write(json.dumps(said) + "\n")
    command = [
        ROOT / ".venv/bin/uv",
        "tool",
        "run",
        "--quiet",
        "dumb-pypi",
        "--packages-url",
        "../../wheels/",
    ]
    subprocess.run(
        [*command, "--help"], check=True, stdout=subprocess.DEVNULL
    )  # installs it, outside the time
    command += ["--package-list-json", packages, "--output-dir", folder / "theirs"]
    return seconds(command + (["--previous-package-list-json", previous] if previous.exists() else []))


def crosswheel(folder: Path) -> float:
    command = [ROOT / ".venv/bin/crosswheel", "index"]
    return seconds([*command, "--dist-tree-root", folder / "dist", "--index-tree-root", folder / "ours"])


def seconds(command: Sequence[object]) -> float:
    start = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
