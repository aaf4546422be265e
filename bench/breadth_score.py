"""How many of the packages that people put on robots and lab computers can be had for a target?

Runs `crosswheel build NAME==VERSION` for each package of bench/breadth.toml, with all it depends on, and then a small
program of its own under emulation, with exactly the wheels that came out. Goes on after failures; what was found out is
kept, so that a run which was stopped goes on where it was. What docs/breadth.md tells of a release is known, too: it
isn't run again without --again, --failed or its name. Prints what came of each package, and the score.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _measure import ROOT, say, show, stop
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosswheel import targets
from crosswheel.check.parity import official_wheels
from crosswheel.emulation.emulator import Emulator, emulator_for
from crosswheel.emulation.trials import Trial, run_test
from crosswheel.errors import CrosswheelError
from crosswheel.files import write_text
from crosswheel.index.failures import Failure, read_failures
from crosswheel.process import Runner
from crosswheel.recipes.loader import shipped_helpers
from crosswheel.registry import Registry
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.environment import Toolchain, toolchain_for
from crosswheel.uv import Uv, site_of
from crosswheel.wheels.layout import FAILURE_SUFFIX
from crosswheel.wheels.proof import Proof

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = ROOT / "docs" / "breadth.md"
WORK = ROOT / "build" / "breadth"
LIST, SMOKE, RECIPES = ROOT / "bench" / "breadth.toml", ROOT / "bench" / "smoke", ROOT / "packages"
_MINUTES = 30
_GRACE_SECONDS = 60
_LARGEST_RATIO = 1.1
RESULTS = "results.json"


@dataclass(frozen=True)
class Wanted:
    """A package of the list: the requirement to build, and the limit of time for it."""

    requirement: str
    minutes: float

    @property
    def name(self) -> str:
        return canonicalize_name(Requirement(self.requirement).name)

    @property
    def version(self) -> str:
        (specifier,) = Requirement(self.requirement).specifier
        return specifier.version

    @property
    def smoke(self) -> Path | None:
        """The program to run with it; a recipe may have its own, which the build runs."""
        path = SMOKE / f"test_{self.name}.py"
        return path if path.is_file() else None


@dataclass(frozen=True)
class Result:
    """What came of a package.

    Attributes:
        outcome: ``taken``, ``built`` or ``failed``.
        reason: why, in one line.
        wheels, built: how many wheels it and all it depends on are, and how many of those were built.
        seconds: how long the command took; less where something was in the cache.
        build_seconds: how long the build of its own wheel took, whenever that was.
        size, official_size: bytes of its own wheel, and of the official one for another Linux machine: what another
            system's holds of C libraries is what that system lacks.
    """

    requirement: str
    as_of: str
    outcome: str
    reason: str
    wheels: int
    built: int
    seconds: float
    build_seconds: float = 0.0
    size: int | None = None
    official_size: int | None = None

    @property
    def ratio(self) -> float | None:
        return self.size / self.official_size if self.size and self.official_size else None

    @property
    def row(self) -> Row:
        """What the page tells of it."""
        size = f"{self.ratio:.2f}" if self.ratio else ""
        seconds = f"{self.build_seconds:.0f}" if self.outcome == "built" else ""
        # Not in which folder of which machine the files lay that are named.
        reason = re.sub(r"/\S*/(?=(?:bench|build)/)", "", self.reason)
        return Row(self.requirement, self.outcome, size, seconds, reason)


@dataclass(frozen=True)
class Row:
    """What the page tells of a package: of this run, or of an earlier one."""

    requirement: str
    outcome: str
    size: str
    seconds: str
    why: str

    @property
    def name(self) -> str:
        return canonicalize_name(Requirement(self.requirement).name)

    @property
    def line(self) -> str:
        cells = (self.requirement, self.outcome, self.size, self.seconds, self.why.replace("|", "\\|"))
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Bench:
    """A run of the benchmark: for which target, where, and the tools that the small programs run with."""

    target: Target
    as_of: str
    folder: Path
    settings: Settings
    toolchain: Toolchain
    emulator: Emulator
    registry: Registry

    def keep(self, name: str, result: Result) -> None:
        """Add what came of a package to what was found out before."""
        file = self.folder / RESULTS
        kept = json.loads(file.read_text()) if file.is_file() else {}
        said = {**kept, name: dataclasses.asdict(result)}
        write_text(file, json.dumps(said, indent=1, sort_keys=True) + "\n")

    def measure(self, wanted: Wanted) -> Result:
        """Build a package and try it."""
        place = self.folder / wanted.name
        shutil.rmtree(place / "dist", ignore_errors=True)
        began = time.monotonic()
        stopped = self._build(wanted, place)
        seconds = time.monotonic() - began
        proofs = {
            path.name.partition("-")[0]: Proof.read_beside(path, self.target.name) for path in _wheels(place)
        }
        made: dict[str, Proof] = {
            canonicalize_name(name): proof for name, proof in proofs.items() if proof is not None
        }
        reason = stopped or self._fault(wanted, place, made)
        own = made.get(wanted.name)
        if not reason:
            shutil.rmtree(place / "build", ignore_errors=True)
        return Result(
            requirement=wanted.requirement,
            as_of=self.as_of,
            outcome="failed" if reason or own is None else own.origin,
            reason=reason or (own.reason if own else "there is no wheel of it"),
            wheels=len(made),
            built=sum(proof.origin == "built" for proof in made.values()),
            seconds=round(seconds, 1),
            build_seconds=own.seconds if own else 0.0,
            size=next(
                (path.stat().st_size for path in _wheels(place) if own and path.name == own.wheel), None
            ),
            official_size=self._official_size(wanted),
        )

    def _build(self, wanted: Wanted, place: Path) -> str:
        """Run the command; return why it was stopped, if it was, or what it said at the end."""
        command = [str(ROOT / ".venv" / "bin" / "crosswheel"), "build", wanted.requirement]
        command += ["--target", self.target.name, "--as-of", self.as_of, "--recipes", str(RECIPES)]
        command += ["--build-type", "packages-only"]
        for tree in ("dist", "build", "index"):
            command += [f"--{tree}-tree-root", str(place / tree)]
        log = place / "command.log"
        place.mkdir(parents=True, exist_ok=True)
        with log.open("w") as stream:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=place
            )
            try:
                code = child.wait(wanted.minutes * 60)
            except BaseException as error:
                _end(child)  # not at once: it has programs of its own to end
                if isinstance(error, subprocess.TimeoutExpired):
                    return f"it was ended after {wanted.minutes:g} minutes"
                raise
        if code == 0:
            return ""
        return _told(wanted.name, place) or _last_error(log) or f"the command ended with exit code {code}"

    def _fault(self, wanted: Wanted, place: Path, made: Mapping[str, Proof]) -> str:
        """Run the package's small program with all the wheels; return what is wrong, if anything."""
        if wanted.smoke is None:
            own = made.get(wanted.name)
            return "" if own and own.tests else "there is no program to try it with"
        prefix, scratch = place / "installed", place / "trial"
        for folder in (prefix, scratch):
            shutil.rmtree(folder, ignore_errors=True)
        runner = Runner(log=place / "trial.log")
        for wheel in _wheels(place):
            Uv(self.settings, runner).install_wheel(wheel, prefix, python=self.toolchain.interpreter)
        trial = Trial(self.emulator, [site_of(prefix)], scratch, runner)
        faults = run_test(wanted.smoke, wanted.name, trial)
        shutil.rmtree(prefix)
        return " ".join(faults[0].message.split()) if faults else ""

    def _official_size(self, wanted: Wanted) -> int | None:
        try:
            files = self.registry.release_files(wanted.name, wanted.version)
        except CrosswheelError:
            return None
        chosen = official_wheels([file.filename for file in files if "linux" in file.filename], self.target)
        return next((file.size for file in files if file.filename in chosen[:1]), None)


def _wheels(place: Path) -> list[Path]:
    return sorted(place.glob("dist/*/*/*.whl"))


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _told(name: str, place: Path) -> str:
    """Return what is said of the package that failed, or of one that it needs."""
    failures = read_failures(place.glob(f"dist/*/*/*{FAILURE_SUFFIX}")).failures
    causes = [failure for failure in failures if not failure.message.startswith("it needs ")]
    causes.sort(key=lambda failure: failure.name != name)
    return "; ".join(_in_one_line(failure, name) for failure in causes[:3])


def _in_one_line(failure: Failure, name: str) -> str:
    lines = [line.strip() for line in failure.message.splitlines()]
    # What was refused says in its second line for what reason.
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    whose = "" if failure.name == name else f"{failure.name} {failure.version}: "
    return f"{whose}{said} ({failure.hint.partition('; the whole output')[0]})"


def _last_error(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return next((line.partition("error: ")[2] for line in reversed(lines) if line.startswith("error: ")), "")


def read_list() -> tuple[str, list[Wanted]]:
    """Return the day that the list's versions are as of, and its packages, in the order of the list."""
    said = tomllib.loads(LIST.read_text())
    minutes: Mapping[str, float] = said["minutes"]
    packages: Mapping[str, str] = said["packages"]
    return said["as_of"], [
        Wanted(f"{name}=={version}", minutes.get(name, _MINUTES)) for name, version in packages.items()
    ]


def chosen(packages: Sequence[Wanted], names: Sequence[str]) -> list[Wanted]:
    """Return the packages that were named; all, if none was."""
    known = {wanted.name: wanted for wanted in packages}
    unknown = [name for name in names if canonicalize_name(name) not in known]
    if unknown:
        stop(f"not in {LIST.name}: {', '.join(unknown)}")
    return [known[canonicalize_name(name)] for name in names] or list(packages)


def _todo(
    packages: Sequence[Wanted], found: Mapping[str, Row], given: argparse.Namespace
) -> Iterator[Wanted]:
    for wanted in packages:
        known = found.get(wanted.name)
        retried = given.again or (given.failed and known is not None and known.outcome == "failed")
        if given.names or known is None or retried:
            yield wanted


def report(packages: Sequence[Wanted], found: Mapping[str, Result], told: Mapping[str, Row]) -> None:
    """Print what came of each package, and the score.

    Args:
        found: what is known of each package; of those that are missing here, the page's row is all that is known.
        told: the row of each package, of whatever run.
    """
    rows = [_cells(wanted, found.get(wanted.name), told.get(wanted.name)) for wanted in packages]
    columns = [
        "package",
        "version",
        "outcome",
        "wheels",
        "built",
        "s",
        "own build s",
        "kB",
        "x official",
        "why",
    ]
    show("What came of each package", columns, rows, right=columns[3:9])
    results = [found[wanted.name] for wanted in packages if wanted.name in found]
    own = [result for result in results if result.outcome == "built" and result.ratio]
    large = [result for result in own if result.ratio and result.ratio > _LARGEST_RATIO]
    known = [told[wanted.name] for wanted in packages if wanted.name in told]
    print(f"Score: {score(known)} Not run: {len(packages) - len(known)}.")
    print(
        f"Built wheels larger than {_LARGEST_RATIO} x the official one for another Linux: {len(large)} of {len(own)}"
        + "".join(f"; {result.requirement} {result.ratio:.2f} x" for result in large)
    )


def read_page(text: str, as_of: str, packages: Sequence[Wanted]) -> dict[str, dict[str, Row]]:
    """Return what the page tells of the packages in the releases of the list: by target, and by name.

    A page as of another day tells nothing.
    """
    told: dict[str, dict[str, Row]] = {}
    if f" as of {as_of} " not in text:
        return told
    wanted = {package.requirement for package in packages}
    for section in text.split("\n## `")[1:]:
        target, _, table = section.partition("`")
        cells = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines())
        rows = [_row(*texts) for texts in cells if texts and texts[0] in wanted]
        told[target] = {row.name: row for row in rows}
    return told


def _row(requirement: str, outcome: str, size: str, seconds: str, why: str) -> Row:
    return Row(requirement, outcome, size, seconds, why.replace("\\|", "|"))


def write_page(as_of: str, packages: Sequence[Wanted], told: Mapping[str, Mapping[str, Row]]) -> None:
    """Write what came of each package that was run into the documents.

    Args:
        told: the row of each package, by target.
    """
    lines = [
        "# Packages with native code",
        "",
        f"`bench/breadth --write` made this page: {len(packages)} packages that people put on robots, gateways and lab "
        f"computers, in their newest releases as of {as_of} for the target's Python. A package can be had if all that "
        "it needs was taken or built, and if a program that uses it passes on the emulated machine.",
        "",
        "Size is that of a wheel beside the official one for another Linux machine; seconds are those of its build. "
        "The rows come from several runs: a row stays as it is until its package is run again.",
    ]
    for target, rows in told.items():
        known = [rows[wanted.name] for wanted in packages if wanted.name in rows]
        lines += ["", f"## `{target}`", "", f"{score(known)} {len(packages) - len(known)} were not run."]
        lines += ["", "| package | outcome | size | seconds | why |", "| --- | --- | --- | --- | --- |"]
        lines += [row.line for row in sorted(known, key=lambda row: row.requirement.lower())]
    write_text(PAGE, "\n".join(lines) + "\n")


def score(known: Sequence[Row]) -> str:
    """Return how many packages can be had, and how many of those that were built have a recipe that ships.

    A recipe that only has programs to test a wheel with changes nothing of it, and is told apart.
    """
    outcomes, shipped = Counter(row.outcome for row in known), shipped_helpers()
    built = [row.name for row in known if row.outcome == "built"]
    recipes = [shipped[name] for name in built if name in shipped]
    lines = [len(recipe.file.read_text().splitlines()) for recipe in recipes if not recipe.only_proves]
    longest = f", of {max(lines)} lines at most" if lines else ""
    return (
        f"{outcomes['taken'] + outcomes['built']} of {len(known)} that were run can be had: {outcomes['taken']} taken, "
        f"{outcomes['built']} built, {outcomes['failed']} failed. {len(lines)} of those that were built have a recipe "
        f"that says how they are built{longest}; {len(recipes) - len(lines)} others have one that only says how they "
        "are tested."
    )


def known_results(as_of: str, packages: Sequence[Wanted], folder: Path) -> dict[str, Result]:
    """Return what is known of the packages in the releases of the list."""
    kept: Mapping[str, Any] = (
        json.loads((folder / RESULTS).read_text()) if (folder / RESULTS).is_file() else {}
    )
    found = {name: Result(**said) for name, said in kept.items()}
    return {
        wanted.name: found[wanted.name]
        for wanted in packages
        if wanted.name in found
        and (found[wanted.name].requirement, found[wanted.name].as_of) == (wanted.requirement, as_of)
    }


def all_rows(
    as_of: str, packages: Sequence[Wanted], folders: Mapping[str, Path]
) -> dict[str, dict[str, Row]]:
    """Return the row of each package, by target: of the results in the folders, and beside those of the page."""
    told = read_page(PAGE.read_text() if PAGE.is_file() else "", as_of, packages)
    for target, folder in folders.items():
        found = known_results(as_of, packages, folder)
        told[target] = told.get(target, {}) | {name: result.row for name, result in found.items()}
    return told


def _cells(wanted: Wanted, result: Result | None, row: Row | None) -> list[str]:
    if row is None:
        return [wanted.name, wanted.version, "not run", *[""] * 7]
    if result is None:
        return [wanted.name, wanted.version, row.outcome, "", "", "", row.seconds, "", row.size, row.why]
    return [
        wanted.name,
        wanted.version,
        result.outcome,
        str(result.wheels),
        str(result.built),
        f"{result.seconds:.0f}",
        row.seconds,
        f"{result.size / 1000:.0f}" if result.size else "",
        row.size,
        result.reason,
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bench/breadth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only these packages, whatever is known of them"
    )
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--failed", action="store_true", help="run what failed before, too")
    parser.add_argument("--report", action="store_true", help="run nothing, only print what is known")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write docs/breadth.md from all that is known of each target, too",
    )
    parser.add_argument("--target", default="ot2", help="the machine to build for (ot2)")
    parser.add_argument(
        "--folder", type=Path, help="where to work and to keep results (build/breadth/TARGET)"
    )
    given = parser.parse_args(arguments)
    # As Ctrl-C does: an exception, by which the command that runs is ended as well.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    as_of, packages = read_list()
    target, settings = targets.load(given.target), Settings.from_environment()
    folder = (given.folder or WORK / target.name).absolute()
    toolchain = toolchain_for(target, settings)
    emulator = emulator_for(target, settings, Runner())
    with Registry(settings) as registry:
        bench = Bench(target, as_of, folder, settings, toolchain, emulator, registry)
        wanted_now = chosen(packages, given.names)
        known = all_rows(as_of, packages, {target.name: folder})[target.name]
        for wanted in [] if given.report else _todo(wanted_now, known, given):
            result = bench.measure(wanted)
            bench.keep(wanted.name, result)
            say(f"{wanted.requirement}: {result.outcome} in {result.seconds:.0f} s: {result.reason}")
    folders = {path.parent.name: path.parent for path in WORK.glob(f"*/{RESULTS}")} | {target.name: folder}
    told = all_rows(as_of, packages, folders)
    report(wanted_now, known_results(as_of, packages, folder), told[target.name])
    if given.write:
        write_page(as_of, packages, told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
