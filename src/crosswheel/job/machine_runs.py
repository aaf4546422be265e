"""Runs wheels on a real machine of the target's kind, in addition to the emulated target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pydantic import ValidationError

from crosswheel.cached import cached_path
from crosswheel.emulation.trials import Importable, Trying, import_modules, run_test
from crosswheel.errors import CheckFailed
from crosswheel.files import digest_of, sha256_of
from crosswheel.seals import Seals
from crosswheel.wheels.proof import MachineRun

# The code that a run depends on and that the digest of crosswheel's code leaves out.
_CODE = ("deploy/proving_ground.py", "deploy/on_robot/prover.py")


@dataclass(frozen=True)
class Machine:
    """A machine of the target's kind.

    Attributes:
        title: its name, for people.
        facts: what it reports: ``machine``, ``kernel`` and ``python``.
        trial: takes ``site-packages`` folders of this host; returns what runs Python on the machine with them.
    """

    title: str
    facts: Mapping[str, object]
    trial: Callable[[Sequence[Path]], Trying]

    @property
    def state(self) -> tuple[str, str, str]:
        """The present state: the machine, its kernel and its Python."""
        return str(self.facts["machine"]), str(self.facts["kernel"]), str(self.facts["python"])


def run_on_machine(
    machine: Machine, importable: Importable, tests: Sequence[Path], sites: Sequence[Path]
) -> MachineRun:
    """Import a wheel's modules on a machine, and run tests there.

    Raises:
        CheckFailed: a module does not load, or a test fails.
        NetworkError: the connection dropped.
        StorageError: the machine has too little space.
    """
    trial = machine.trial(sites)
    imports = import_modules(importable, trial)
    faults = list(imports.faults)
    for test in tests:
        faults += [] if faults else run_test(test, importable.wheel, trial)
    if faults:
        listed = "\n".join(f"    {fault.file}: {fault.message}" for fault in faults)
        remedies = "; ".join(dict.fromkeys(fault.remedy for fault in faults))
        raise CheckFailed(
            f"{importable.wheel} was refused by {machine.title} itself:\n{listed}", hint=f"{remedies}."
        )
    name, kernel, python = machine.state
    return MachineRun(
        day=datetime.now(timezone.utc).date().isoformat(),
        machine=name,
        kernel=kernel,
        python=python,
        imported=imports.imported,
        tests=tuple(test.stem for test in tests),
    )


class KeptRuns:
    """The cached last run of a wheel on a machine, under the digest of all inputs other than the machine."""

    def __init__(self, cache: Path, seals: Seals, inputs: Mapping[str, object]) -> None:
        package = Path(__file__).parents[1]
        code = [sha256_of(package / name) for name in _CODE]
        self._seals = seals
        self._path = cached_path(cache, "machine-runs", f"{digest_of(**inputs, machine_code=code)}.json")

    def read(self, machine: Machine | None) -> MachineRun | None:
        """Return the last run, or ``None``; if a machine is given, only a run on that machine in its present state."""
        try:
            text = self._seals.read(self._path, self._path.stem)
            run = MachineRun.model_validate_json(text) if text is not None else None
        except ValidationError:  # written by another version
            return None
        if run is None or machine is None:
            return run
        return run if (run.machine, run.kernel, run.python) == machine.state else None

    def write(self, run: MachineRun) -> None:
        """Keep a run."""
        self._seals.write(self._path, self._path.stem, run.model_dump_json())
