"""What grows with the number of packages? Processor time per package, and memory, at four sizes.

Each size in a process of its own. (a) A batch of made-up roots, each of which needs ten of a pool of pure packages,
from a registry on this machine: resolved by uv and planned; taken, audited and put into the tree of wheels; and the
same batch again, which finds all. (b) The index of made-up wheels with proofs, again after one is added, and a channel
of it in a folder, again with nothing new. Nothing is compiled or emulated: that costs the same for each package.

Prints processor time per item, the slope (the largest size beside the first), and the most memory. Exits with 1 where
an item costs more than 1.3 x at the largest size, or memory more than doubles.

Usage: bench/scale [--roots 1000] [--wheels 10000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from _measure import ROOT, machine, say, show, stop, usual_environment
from index_speed import make_wheel

STEPS, NEEDS, POOL = (8, 4, 2, 1), 10, 100
MOST_SLOPE, MOST_MEMORY = 1.3, 2.0
Figures = dict[str, float]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--roots", type=int, default=1000, help="the roots of the largest batch")
    parser.add_argument("--wheels", type=int, default=10_000, help="the wheels of the largest index")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(measured(given.one, given.roots if given.one == "batch" else given.wheels)))
        return 0
    print(machine())
    steep = [kind for kind, most in (("batch", given.roots), ("index", given.wheels)) if table_of(kind, most)]
    return int(bool(steep))


def table_of(kind: str, most: int) -> bool:
    """Measure and print one kind at all sizes; return whether something grows."""
    sizes = [most // step for step in STEPS]
    figures = [in_own_process(kind, size) for size in sizes]
    rows, grows = [], False
    for name in figures[0]:
        values = [of_size[name] for of_size in figures]
        is_memory = name == "memory, MB"
        slope = values[-1] / max(values[0], 1e-9)
        grows |= slope > (MOST_MEMORY if is_memory else MOST_SLOPE)
        rows.append(
            [
                name,
                *(f"{value:.0f}" if is_memory else f"{1000 * value:.1f}" for value in values),
                f"{slope:.2f}",
            ]
        )
    columns = ["processor ms per item", *map(str, sizes), "slope"]
    show(f"{kind}: {most}", columns, rows, right=columns[1:])
    return grows


def in_own_process(kind: str, size: int) -> Figures:
    say(f"{kind} of {size} …")
    words = [sys.executable, __file__, "--one", kind, "--roots", str(size), "--wheels", str(size)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, env=usual_environment(), check=False)
    if done.returncode:
        stop(f"{kind} of {size} failed")
    figures: Figures = json.loads(done.stdout)
    return figures


def measured(kind: str, size: int) -> Figures:
    """Return processor seconds per item for each step, and the most memory that this process had."""
    with tempfile.TemporaryDirectory(prefix="crosswheel-bench-") as folder:
        figures = KINDS[kind](Path(folder), size)
    return {**figures, "memory, MB": getrusage(RUSAGE_SELF).ru_maxrss / 1024}


def processors() -> float:
    """Return the processor seconds of this process and of the programs that it ran."""
    return sum(used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def timed(work: Callable[[], object], size: int) -> float:
    """Return the processor seconds per item that a piece of work takes."""
    before = processors()
    work()
    return (processors() - before) / size


def a_batch(folder: Path, size: int) -> Figures:
    """Resolve, plan and make a batch of roots from a registry of their own."""
    sys.path.insert(0, str(ROOT / "tests"))
    from crosswheel.job.asking import Asking
    from crosswheel.job.batch import BatchLine, BatchRun
    from crosswheel.resolver import Request
    from support.contexts import offline_job

    with offline_job(folder) as job:
        for number in range(POOL):
            job.offer(f"pool-{number}", "1.0", {f"pool_{number}.py": b"x = 1\n"})
        for number in range(size):
            needs = [f"pool-{(number * 7 + step) % POOL}" for step in range(NEEDS)]
            job.offer(f"root-{number}", "1.0", {f"root_{number}.py": b"x = 1\n"}, requires=needs)
        asked = [Asking(Request((f"root-{number}",))) for number in range(size)]
        lines = [BatchLine(asking.request.requirements[0], asking) for asking in asked]

        def resolve() -> None:
            for asking in asked:
                asking.closure(job.context)

        def run() -> None:
            result = BatchRun(job.context).run(lines)
            if result.exit_code:
                stop(next(row.error or "" for row in result.rows if row.error))

        return {
            "resolving and planning": timed(resolve, size),
            "taking, auditing, placing": timed(run, size),
            "the same again": timed(run, size),
        }


def an_index(folder: Path, size: int) -> Figures:
    """Make and publish the index of wheels."""
    from crosswheel.index.site import write_site
    from crosswheel.publish.publisher import publish
    from crosswheel.stores.opening import open_store

    dist, site = folder / "dist", folder / "site"
    for number in range(size):
        make_wheel(dist, number // 10, number % 10, True)
    (folder / "channel").mkdir()
    store = open_store(str(folder / "channel"))
    figures = {"the index": timed(lambda: write_site(dist, site), size)}
    make_wheel(dist, 0, int(time.time()), True)
    figures["the index, one wheel added"] = timed(lambda: write_site(dist, site), size)
    figures["publishing"] = timed(lambda: publish(site, store), size)
    figures["publishing again"] = timed(lambda: publish(site, store), size)
    return figures


KINDS: dict[str, Callable[[Path, int], Figures]] = {"batch": a_batch, "index": an_index}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
