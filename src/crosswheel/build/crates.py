"""Download the crates of a project in Rust before its build, which has no network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from crosswheel.download import connection_hint
from crosswheel.errors import BuildFailed
from crosswheel.process import Runner, tail

_CRATE = re.compile(r'^name = "(.+)"\nversion = "(.+)"$', re.MULTILINE)
# How this machine reaches the network: proxies, certificates, mirrors of the crate registry.
_OF_THE_NETWORK = re.compile(
    r"(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy|SSL_CERT_(?:FILE|DIR)|CARGO_(?:HTTP|NET|SOURCE|REGISTRY|REGISTRIES)_\w+"
)
_GIT_SOURCE = re.compile(r"[Uu]nable to update (\w+://[^\s?#]+)")


def fetch_crates(tree: Path, variables: Mapping[str, str], runner: Runner) -> None:
    """Download the crates in the project's Cargo.lock.

    Crates for every platform are included, because `cargo metadata`, which maturin runs, requires all of them.

    Args:
        tree: the project's source.
        variables: the environment of its build, to which those of the host's network are added.

    Raises:
        BuildFailed: a crate is not available.
    """
    network = {name: value for name, value in os.environ.items() if _OF_THE_NETWORK.fullmatch(name)}

    def fetch(manifest: Path) -> None:
        words = ["cargo", "fetch", "--manifest-path", str(manifest)]
        result = runner.run(words, cwd=tree, env={**network, **variables}, check=False)
        if result.returncode != 0:
            raise _failure(result.output)

    for manifest in _workspaces(tree):
        lock = manifest.with_name("Cargo.lock")
        if not lock.is_file():
            fetch(manifest)
            continue
        named = _crates(lock)
        # Not with --locked, which rejects a workspace's lock if the sdist has only a part of that workspace.
        fetch(manifest)
        added = sorted(_crates(lock) - named)
        if added:
            raise BuildFailed(
                f"{lock.name} does not name all the crates that the project is made of; missing: {', '.join(added)}",
                hint="complete it with a patch in the recipe, or build from the project's sdist.",
            )


def _crates(lock: Path) -> set[str]:
    return {f"{name} {version}" for name, version in _CRATE.findall(lock.read_text())}


def _workspaces(tree: Path) -> list[Path]:
    """Return the project's manifests that have a lock next to them; otherwise the outermost one."""
    vendored = {path.parent for path in tree.rglob(".cargo-checksum.json")}
    manifests = [path for path in sorted(tree.rglob("Cargo.toml")) if not vendored & {*path.parents}]
    locked = [path for path in manifests if path.with_name("Cargo.lock").is_file()]
    return locked or sorted(manifests, key=lambda path: len(path.parts))[:1]


def _failure(output: str) -> BuildFailed:
    source = _GIT_SOURCE.search(output)
    if source is None:
        return BuildFailed(
            f"the crates that it is made of could not be fetched:\n{tail(output)}",
            hint=connection_hint(
                output, "look whether this machine reaches the registry of crates, and try again."
            ),
        )
    return BuildFailed(
        f"a crate that it is made of is not in the registry but at {source[1]}, and could not be fetched from there\n"
        + tail(output),
        hint="let this machine reach that place; or patch Cargo.toml and Cargo.lock to take the registry's crate.",
    )
