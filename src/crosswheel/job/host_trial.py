"""Starts a release on this machine, with the releases of a lock, before anything is built for the target.

This takes seconds, and building and proving a closure takes minutes. It proves nothing about the target: it only tells
where it is worth looking.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosswheel.cached import cached_path
from crosswheel.emulation.on_host import on_host
from crosswheel.emulation.trials import Trial, ending
from crosswheel.errors import LimitExceeded
from crosswheel.files import remove_tree
from crosswheel.job.context import BuildContext
from crosswheel.job.host_wheels import HostWheel, host_tags, published_for_host
from crosswheel.job.proving import installed_site
from crosswheel.lock import Pin
from crosswheel.process import tail

# Loads the entry point of each of a distribution's programs; starts the program of the distribution's name with --help.
_PROGRAMS = """
import importlib.metadata, sys
programs = [p for p in importlib.metadata.distribution(sys.argv[1]).entry_points if p.group == "console_scripts"]
loaded = {p.name: p.load() for p in programs}
if sys.argv[1] in loaded:
    sys.argv = [sys.argv[1], "--help"]
    sys.exit(loaded[sys.argv[0]]())
"""


def start_fault(root: Pin, trial: Trial) -> str | None:
    """Start a release's programs with the wheels of a trial; return why one does not start, or ``None``.

    Raises:
        LimitExceeded: one does not end in time.
    """
    result = trial.run("-c", _PROGRAMS, root.name)
    lines = [line for line in result.lines if line.strip()]
    if result.returncode == 0 or not any(line.startswith("Traceback") for line in lines):
        return None  # not every program knows --help
    return f"{root} does not start: {lines[-1].strip()}"


@dataclass(frozen=True)
class HostTrial:
    """Starts a release on this machine, and runs the tests of its recipe.

    Attributes:
        tests: the programs that must succeed.
    """

    root: Pin
    tests: Sequence[Path]
    context: BuildContext

    def fault(self, pins: Iterable[Pin]) -> str | None:
        """Return why the release fails here with other releases.

        It is ``None`` if it works, and if that cannot be told here: on a busy machine it may not end in time.
        """
        tags, registry = frozenset(host_tags(self.context.target)), self.context.registry
        with self.context.questions() as pool:
            wheels = list(
                pool.map(lambda pin: published_for_host(pin.name, pin.version, None, tags, registry), pins)
            )
        missing = next((wheel for wheel in wheels if wheel.wheel is None), None)
        if missing:
            self._say_untold(f"{missing.name} {missing.version}: {missing.reason}")
            return None
        kept = self._path_of(wheels)
        text = self.context.seals.read(kept, kept.name)
        if text is None:
            try:
                text = json.dumps(self._fault_with(wheels))
            except LimitExceeded as error:
                self._say_untold(str(error).partition("\n")[0])
                return None
            self.context.seals.write(kept, kept.name, text)
        fault: str | None = json.loads(text)
        return fault

    def _say_untold(self, reason: str) -> None:
        self.context.display.message(f"It cannot be tried on this machine first: {reason}.")

    def _path_of(self, wheels: Iterable[HostWheel]) -> Path:
        """Return where the cache keeps the result of a trial with these wheels."""
        inputs = {
            "root": str(self.root),
            "wheels": [wheel.sha256 for wheel in wheels],
            "tests": [test.read_text() for test in self.tests],
            "target": self.context.target.fingerprint,
            "sandbox": self.context.sandbox,
            "code": self.context.code_digest,
        }
        return cached_path(self.context.settings.cache, "trials", inputs)

    def _fault_with(self, wheels: Sequence[HostWheel]) -> str | None:
        context, (name, version) = self.context, (self.root.name, self.root.version)
        host = on_host(context.target, context.settings, context.general_runner)
        python = host.python.executable

        def site(wheel: HostWheel) -> Path:
            assert wheel.wheel is not None
            return installed_site(wheel.wheel, wheel.sha256, context, python)

        with context.workers(context.at_once) as pool:
            sites = list(pool.map(site, wheels))
        scratch = context.folder(name, version) / "on-host"
        remove_tree(scratch)
        trial = Trial(host, sites, scratch, context.runner(name, version))
        fault = start_fault(self.root, trial)
        for test in self.tests if fault is None else ():
            result = trial.run(str(test))
            if result.returncode != 0:
                output = tail(result.output, 8)
                return f"{self.root}: test {test.name} fails on this machine ({ending(result)}):\n{output}"
        return fault
