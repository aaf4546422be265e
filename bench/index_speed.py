"""How fast is the index at size: ours, which reads the wheels, beside dumb-pypi, which is handed their data.

Makes 10,000 wheels of 1,000 projects, lets both write a whole site, one right after the other and again, adds one
wheel, and lets both bring the site up to date. The wheels have proofs beside them, as `crosswheel build` leaves them,
unless it is told otherwise: without, ours checks every member. Ours is the whole command, start-up included. Prints
seconds by the clock and of the processors, the medians' ratios, and the state of the machine; exits with 1 when ours is
slower, or needs more than 1 s for the added wheel.

Usage: bench/index [--projects 1000] [--versions 10] [--pairs 3] [--without-proofs] [--folder DIR]
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

from _measure import ROOT, machine, show, usual_environment

from crosswheel.wheels.proof import Proof

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
    parser.add_argument("--pairs", type=int, default=3, help="how often both are measured")
    parser.add_argument("--folder", type=Path, help="work here, and keep it")
    parser.add_argument("--without-proofs", action="store_true", help="wheels have no proofs beside them")
    given = parser.parse_args(arguments)
    print(machine())
    with workspace_of(given.folder) as folder:
        for number in range(given.projects):
            for version in range(given.versions):
                make_wheel(folder / "dist", number, version, not given.without_proofs)
        return measure(folder, given.pairs, not given.without_proofs)


@contextmanager
def workspace_of(folder: Path | None) -> Iterator[Path]:
    """Give a folder whose wheels may be there from last time, or a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="crosswheel-bench-") as temporary:
            yield Path(temporary)
        return
    yield folder


@dataclass(frozen=True)
class Times:
    """How long a command took, in seconds: by the clock, and of all processors together."""

    wall: float
    cpu: float


def measure(folder: Path, pairs: int, proofs: bool) -> int:
    whole = []
    for _ in range(pairs):
        start_anew(folder)
        whole.append((crosswheel(folder), dumb_pypi(folder)))
    added = []
    for number in range(pairs):
        make_wheel(folder / "dist", 0, int(time.time()) + number, proofs)  # new in a kept folder, too
        added.append((crosswheel(folder), dumb_pypi(folder)))
    wheels = sum(1 for _ in (folder / "dist").rglob("*.whl"))
    rows = [
        row
        for what, times in (("the whole site", whole), ("one wheel added", added))
        for row in compared(what, times)
    ]
    show(
        f"{wheels} wheels, median of {pairs}",
        ["what", "crosswheel", "dumb-pypi", "ratio"],
        rows,
        right=("crosswheel", "dumb-pypi", "ratio"),
    )
    ours, theirs = (median(times[who].wall for times in whole) for who in (0, 1))
    return int(ours > theirs or median(our.wall for our, _ in added) > 1)


def compared(what: str, pairs: Sequence[tuple[Times, Times]]) -> Iterator[list[str]]:
    """Give rows of a table: each pair by the clock, and the medians by the clock and of the processors."""
    for number, (our, their) in enumerate(pairs, 1):
        yield row(f"{what}, pair {number}, clock", our.wall, their.wall)
    for kind, field in (("clock", "wall"), ("processors", "cpu")):
        yield row(f"{what}, {kind}", *(median(getattr(pair[who], field) for pair in pairs) for who in (0, 1)))


def row(what: str, ours: float, theirs: float) -> list[str]:
    return [what, f"{ours:.2f} s", f"{theirs:.2f} s", f"{ours / theirs:.2f}"]


def start_anew(folder: Path) -> None:
    for left in ("packages.json", "packages-before.json"):
        (folder / left).unlink(missing_ok=True)
    for left in ("ours", "theirs"):
        shutil.rmtree(folder / left, ignore_errors=True)


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


def dumb_pypi(folder: Path) -> Times:
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
    command: list[str | Path] = [
        ROOT / ".venv/bin/uv",
        "tool",
        "run",
        "--quiet",
        "dumb-pypi",
        "--packages-url",
        "../../wheels/",
    ]
    # Installs it, outside the time.
    subprocess.run([*command, "--help"], check=True, stdout=subprocess.DEVNULL)
    command += ["--package-list-json", packages, "--output-dir", folder / "theirs"]
    return times(command + (["--previous-package-list-json", previous] if previous.exists() else []))


def crosswheel(folder: Path) -> Times:
    command = [ROOT / ".venv/bin/crosswheel", "index"]
    return times([*command, "--dist-tree-root", folder / "dist", "--index-tree-root", folder / "ours"])


def times(command: Sequence[object]) -> Times:
    words, environment = [str(word) for word in command], usual_environment()
    before, start = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - start, getrusage(RUSAGE_CHILDREN)
    return Times(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
