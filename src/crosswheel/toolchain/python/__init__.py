"""Pythons for a target: what is compiled for, and what answers as the target's does."""
