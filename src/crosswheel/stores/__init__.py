"""Store bytes under names: in a folder, in object storage or on a server."""
