"""Cross-build Python wheels for a machine that cannot build them, and prove that they run there."""

__version__ = "0.1.0"
