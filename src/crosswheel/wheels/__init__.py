"""Reads and writes wheels (PEP 427) and their proofs, and knows the layout of ``dist/``."""
