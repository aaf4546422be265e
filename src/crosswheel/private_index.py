"""Defines private registries, and which packages belong to each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from crosswheel.errors import UsageError


@dataclass(frozen=True)
class PrivateIndex:
    """A private registry; its packages are asked for only there, and no other package is.

    Attributes:
        url: the URL of its simple index, without user name and password.
        packages: patterns of normalised names, such as ``lab-*``.
    """

    name: str
    url: str
    packages: tuple[str, ...] = ()

    def has(self, project: str) -> bool:
        """Return whether a package belongs to it, by its normalised name."""
        return any(fnmatchcase(project, pattern) for pattern in self.packages)

    @property
    def variable(self) -> str:
        """The prefix of the environment variables with its credentials, which are uv's."""
        return f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', self.name.upper())}"


def private_indexes(urls: Iterable[str], belongings: Iterable[str]) -> tuple[PrivateIndex, ...]:
    """Parse ``NAME=URL`` and ``PACKAGE=NAME`` of the command line.

    Raises:
        UsageError: one of them cannot be read, or a package belongs to a registry that is not given.
    """
    known: dict[str, str] = {}
    for text in urls:
        name, _, url = text.partition("=")
        _require_usable(name, url, text)
        known[name] = url.rstrip("/") + "/"
    packages: dict[str, list[str]] = {name: [] for name in known}
    for text in belongings:
        package, _, name = text.partition("=")
        if name not in known:
            raise UsageError(
                f"{text!r}: there is no registry {name!r}; there are: {', '.join(known) or 'none'}",
                hint="give it with --index NAME=URL, and what belongs to it with --from-index PACKAGE=NAME.",
            )
        packages[name].append(package if "*" in package else canonicalize_name(package))
    idle = next((name for name, patterns in packages.items() if not patterns), None)
    if idle:
        raise UsageError(
            f"nothing belongs to the registry {idle}, so it would never be asked",
            hint=f"state what does: --from-index PACKAGE={idle}; a pattern such as 'lab-*={idle}' will do.",
        )
    return tuple(PrivateIndex(name, known[name], tuple(packages[name])) for name in known)


def _require_usable(name: str, url: str, text: str) -> None:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"the address of the registry {name} has a name or a password in it, which others can see",
            hint=f"set {PrivateIndex(name, '').variable}_USERNAME and …_PASSWORD, or use ~/.netrc or keyring.",
        )
    if (
        not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name)
        or parts.scheme not in ("http", "https")
        or not parts.hostname
    ):
        raise UsageError(f"{text!r} names no registry", hint="write NAME=URL: lab=https://host/simple/.")


def index_of(indexes: Sequence[PrivateIndex], project: str) -> PrivateIndex | None:
    """Return the private registry that a package belongs to, by its normalised name."""
    return next((index for index in indexes if index.has(project)), None)
