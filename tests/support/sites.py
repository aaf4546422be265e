"""Trees of wheels to make an index of: wheels with a description, a proof, and what else lies beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel.wheels.proof import AuditedObject, Proof
from support.wheels import make_wheel


def add_wheel(
    dist: Path,
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    headers: Mapping[str, str] = {},
    readme: str = "",
    body: bytes = b"answer = 42\n",
) -> Path:
    """Put a wheel where a build would have put it, ``dist/<name>/<version>/``, and return its path."""
    said = {"Metadata-Version": "2.1", "Name": name, "Version": version, **headers}
    lines = [f"{key}: {value}" for key, value in said.items()]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    module = canonicalize_name(name).replace("-", "_")
    return make_wheel(
        dist / canonicalize_name(name) / version,
        name,
        version,
        {f"{module}.py": body},
        tag=tag,
        dist_info={"METADATA": ("\n".join(lines) + f"\n\n{readme}").encode()},
    )


def prove(
    wheel: Path,
    target: str = "ot2",
    *,
    emulator: str | None = "qemu-arm 7.2.0, CPython 3.10.8",
    log: str | None = None,
) -> Path:
    """Put a proof beside a wheel, as the check does, and return its path."""
    proof = Proof(
        wheel=wheel.name,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        target=target,
        origin="built",
        reason="it has no wheel that loads there",
        source="the sdist",
        toolchain={"zig": "0.15.2"},
        build_requirements=("setuptools==80.9.0",),
        audited=(
            AuditedObject(file="a/_fast.so", needed=("libc.so.6",), newest={"GLIBC": "2.4"}),
            AuditedObject(file="a/_slow.so", needed=("libc.so.6",), newest={"GLIBC": "2.17"}),
        ),
        parity="official-1-cp310-cp310-manylinux_2_17_x86_64.whl",
        emulator=emulator,
        imported=("a._fast",),
        skipped={"a._slow": "it wants a terminal"},
        tests=("round trip",),
        seconds=12.34,
        log=log,
    )
    proof.write_beside(wheel)
    return wheel.with_name(f"{wheel.name}.{target}.proof.json")


def tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
