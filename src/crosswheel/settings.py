"""Reads the user's settings from environment variables, once; functions then receive them as a value."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

from crosswheel.private_index import PrivateIndex, private_indexes


@dataclass(frozen=True)
class Settings:
    """The user's settings.

    Attributes:
        cache: the folder of toolchains, downloads and finished builds (``CROSSWHEEL_CACHE``).
        github: the base URL of GitHub or of a mirror (``CROSSWHEEL_GITHUB_URL``).
        registry: the URL of the package registry's simple index (``UV_DEFAULT_INDEX``, ``UV_INDEX_URL`` or
            ``PIP_INDEX_URL``; otherwise each client's default).
        maven: the base URL of a Maven repository (``CROSSWHEEL_MAVEN_URL``; otherwise jgo's default).
        cpython: the base URL of a mirror of CPython's source archives, ``<base>/<version>/<file>``
            (``CROSSWHEEL_CPYTHON_URL``; otherwise Debian's source packages, which have some releases).
        debian: the URL of a mirror of Debian that replaces the machine's own (``CROSSWHEEL_DEBIAN_URL``).
        debian_sources: an apt sources file that replaces the machine's own (``CROSSWHEEL_DEBIAN_SOURCES``).
        offline: use cached files only (``CROSSWHEEL_OFFLINE=1``).
        native: run a target's programs on this machine's own CPU if it can; otherwise they are always emulated
            (``CROSSWHEEL_NATIVE=0``).
        sandbox: the level of the sandbox for other people's code: ``namespaces``, ``landlock``, ``none``, or ``auto``
            for the strictest that the host allows (``CROSSWHEEL_SANDBOX``).
        indexes: private registries with their packages (``CROSSWHEEL_INDEX``, ``CROSSWHEEL_FROM_INDEX``).
        extra_registries: the URLs of further general registries; what one of them has comes from the first that has it,
            and only what none has from ``registry`` (``--extra-index-url`` of a requirements file).
        gateway: the URL at which uv reaches the private registries while a command runs.
        shared_caches: the stores of a team's shared cache, in the order of lookup; commands with such an option read
            ``CROSSWHEEL_SHARED_CACHE``.
        shared_cache_read_only: store nothing in the shared cache.
        keys: the folder of the signing key and of the trusted keys (``CROSSWHEEL_KEYS``).
    """

    cache: Path
    github: str
    registry: str | None = None
    maven: str | None = None
    debian: str | None = None
    debian_sources: Path | None = None
    offline: bool = False
    sandbox: str = "auto"
    indexes: tuple[PrivateIndex, ...] = ()
    extra_registries: tuple[str, ...] = ()
    gateway: str | None = None
    shared_caches: tuple[str, ...] = ()
    shared_cache_read_only: bool = False
    keys: Path = field(default_factory=lambda: user_config_path("crosswheel") / "keys")
    cpython: str | None = None
    native: bool = True

    @property
    def cache_fault(self) -> str | None:
        """The reason why compilers in the cache folder cannot work; ``None`` if they can."""
        if not re.search(r"\s", str(self.cache)):
            return None
        return f"the cache folder {self.cache} has a blank in its path, at which build systems take a command to end"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables."""
        env = os.environ if environ is None else environ
        registry = env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL") or env.get("PIP_INDEX_URL")
        sources = env.get("CROSSWHEEL_DEBIAN_SOURCES")
        cache, keys = env.get("CROSSWHEEL_CACHE"), env.get("CROSSWHEEL_KEYS")
        indexes, belongings = env.get("CROSSWHEEL_INDEX") or "", env.get("CROSSWHEEL_FROM_INDEX") or ""
        return cls(
            cache=(Path(cache).expanduser() if cache else user_cache_path("crosswheel")).resolve(),
            github=(env.get("CROSSWHEEL_GITHUB_URL") or "https://github.com").rstrip("/"),
            registry=registry or None,
            maven=env.get("CROSSWHEEL_MAVEN_URL") or None,
            cpython=(env.get("CROSSWHEEL_CPYTHON_URL") or "").rstrip("/") or None,
            debian=env.get("CROSSWHEEL_DEBIAN_URL") or None,
            debian_sources=Path(sources) if sources else None,
            offline=env.get("CROSSWHEEL_OFFLINE", "") not in ("", "0"),
            sandbox=env.get("CROSSWHEEL_SANDBOX") or "auto",
            indexes=private_indexes(indexes.split(), belongings.split()),
            keys=Path(keys).expanduser() if keys else user_config_path("crosswheel") / "keys",
            native=env.get("CROSSWHEEL_NATIVE") != "0",
        )
