"""Provide the compilers for a target: zig, an SDK, Rust, Fortran."""
