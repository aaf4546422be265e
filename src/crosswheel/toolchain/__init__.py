"""Provide everything that compiles source for a target: compilers, its Python, its C libraries."""
