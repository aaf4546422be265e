"""Look-alikes of robots, for trying what would be done to one."""
