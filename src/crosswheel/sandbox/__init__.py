"""Run untrusted code in a sandbox: build hooks, configure probes, modules of a wheel during import."""
