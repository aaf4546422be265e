"""Learning a machine: from its root file system, or by asking it, to a target's file and its userland."""
