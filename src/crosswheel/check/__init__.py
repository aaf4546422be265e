"""The wheel against the target: is it whole, would it load there, and what does the official one have?

A wheel that is not whole raises :class:`~crosswheel.errors.IntegrityError`; every reason why a whole one
would not work on the target is a :class:`Fault`.
"""

from crosswheel.check.elf import audit, exported_symbols, unstripped
from crosswheel.check.parity import choose_official, compare
from crosswheel.check.proof import AuditedObject, Fault, Proof
from crosswheel.check.wheel import WheelFile, suitability

__all__ = [
    "AuditedObject",
    "Fault",
    "Proof",
    "WheelFile",
    "audit",
    "choose_official",
    "compare",
    "exported_symbols",
    "suitability",
    "unstripped",
]
