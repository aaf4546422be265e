"""Reads recipes, changes them, and defines them as data."""
