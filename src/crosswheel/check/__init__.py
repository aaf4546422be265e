"""Check a wheel against a target: its integrity, whether it would load there, and its parity with the official wheel.

A damaged wheel raises :class:`~crosswheel.errors.IntegrityError`. Every reason why an intact wheel would not
work on the target is a :class:`Fault`.
"""
