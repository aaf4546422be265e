"""The module that recipes import: ``from builder import package_build``."""
