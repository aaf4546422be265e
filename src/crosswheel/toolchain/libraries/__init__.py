"""C libraries for a target, which packages link."""
