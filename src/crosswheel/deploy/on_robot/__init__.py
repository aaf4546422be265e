"""Holds the program that is sent to a machine to run wheels there; nothing of it stays."""
