"""Ask a machine's own Python for its facts, natively or emulated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.errors import TargetError
from crosswheel.process import Runner, tail

if TYPE_CHECKING:
    from crosswheel.emulation.emulator import Emulator
    from crosswheel.learning.services import Services

ASKED = Path(str(resources.files("crosswheel.learning"))) / "asked.py"
_MARK = "learned "


class PythonFacts(BaseModel):
    """The answers of :mod:`crosswheel.learning.asked`, under the same names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    implementation: str
    version: str
    soabi: str
    suffix: str
    sysconfigdata: str
    multiarch: str
    prefix: str
    gil_disabled: bool
    machine: str
    kernel: str
    page_bytes: int
    pointer_bits: int
    time_bytes: int
    long_double_bytes: int
    packages: Mapping[str, str]
    imported: tuple[str, ...]
    pip: str
    tags: tuple[str, ...]

    @property
    def short(self) -> str:
        """The major and minor version, such as ``3.10``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def has_wide_time(self) -> bool:
        """Whether it was compiled to tell time with 64 bits, where that is not a matter of course."""
        return self.pointer_bits == 32 and self.time_bytes == 8

    @property
    def manylinux(self) -> tuple[int, ...]:
        """The minor versions of glibc whose wheels its pip accepts on this machine, the newest first."""
        prefix = "-manylinux_2_"
        named = (tag.partition(prefix)[2] for tag in self.tags if prefix in tag)
        machine = f"_{self.machine}"
        numbers = {int(n.removesuffix(machine)) for n in named if n.removesuffix(machine).isdigit()}
        return tuple(sorted(numbers, reverse=True))


def emulated_facts(emulator: Emulator, services: Services, runner: Runner, title: str) -> PythonFacts:
    """Ask a machine's Python under emulation.

    Args:
        services: the machine's services, whose code it reads.

    Raises:
        TargetError: it does not run, or no wheels can be built for it.
    """
    result = emulator.run(
        runner,
        ["-E", "-s", "-B", ASKED, services.commands, services.root],
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        readable=[ASKED.parent, services.root],
        check=False,
    )
    if result.returncode != 0:
        raise TargetError(
            f"the Python of {title} does not run with what was taken of it:\n{tail(result.output, 8)}",
            hint="it is half a root file system, or a part of its Python lies outside of /lib, /usr and /opt.",
        )
    return read_facts(result.output, title)


def read_facts(output: str, title: str) -> PythonFacts:
    """Parse the answers out of a program's output.

    Raises:
        TargetError: they are missing, or no wheels can be built for this Python.
    """
    lines = [line for line in output.splitlines() if line.startswith(_MARK)]
    try:
        facts = PythonFacts.model_validate(json.loads(lines[-1][len(_MARK) :]))
    except (IndexError, ValueError, ValidationError) as error:
        raise TargetError(
            f"the Python of {title} did not answer:\n{tail(output, 8)}",
            hint="see whether `python3 -c 'import json, ctypes, sysconfig'` works on it.",
        ) from error
    if facts.implementation != "CPython" or facts.gil_disabled or not facts.soabi:
        kind = "free-threaded CPython" if facts.gil_disabled else facts.implementation
        raise TargetError(
            f"the Python of {title} is {kind} {facts.version}",
            hint="wheels are built for CPython with its lock.",
        )
    return facts
