"""The compilers for a target, whatever they are: what the rest of the toolchain knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Compilers:
    """A folder of programs that compile for a target, each called without arguments of its own.

    Attributes:
        folder: ``cc c++ ar ranlib objcopy`` compile for the target, and so do the same names behind the target's GNU
            triple; ``host-cc`` and ``host-c++`` compile for this machine, for build scripts that run here.
        identity: names what they make: the same wherever the folder lies, another when their output may change.
        versions: what they are, by name, for proofs.
        environment: variables that they need.
    """

    folder: Path
    identity: str
    versions: Mapping[str, str]
    environment: Mapping[str, str]

    @property
    def programs(self) -> Mapping[str, str]:
        """The programs by the variables in which build systems look for them."""
        names = {"CC": "cc", "CXX": "c++", "AR": "ar", "RANLIB": "ranlib"}
        return {variable: str(self.folder / name) for variable, name in names.items()}

    @property
    def variables(self) -> Mapping[str, str]:
        """All variables that a build with them needs."""
        return {**self.environment, **self.programs}
