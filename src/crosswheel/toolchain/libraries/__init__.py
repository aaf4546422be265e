"""Provide the C libraries for a target that packages link."""
