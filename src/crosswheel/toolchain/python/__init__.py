"""Provide Pythons for a target: one to compile against, and one that answers as the target's."""
