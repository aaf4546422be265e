"""Bytes by name, in a folder, in object storage or on a server."""
