"""Learn a machine from its root file system or over ssh: write its target's file and keep its userland."""
