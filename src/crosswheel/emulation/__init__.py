"""A target's programs, running on the host: qemu, the target's Python, trials of wheels."""
