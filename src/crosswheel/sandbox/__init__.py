"""The one way to start code that is not ours: build hooks, configure probes, what a wheel does when it is imported."""
