"""Reading a channel as its publisher signed it, from wherever it is served: what is not signed is not read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from crosswheel.download import get, new_client
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.publish.channel_manifest import NEWEST, Manifest, Reader
from crosswheel.stores.opening import open_store

Fetch = Callable[[str], bytes | None]
"""Gives the bytes of a file of a channel, or ``None`` where it has none."""


@dataclass(frozen=True)
class VerifiedChannel:
    """A channel whose manifest a trusted key has signed.

    Attributes:
        url: where it is, for people.
    """

    url: str
    manifest: Manifest
    fetch: Fetch

    @property
    def wheels(self) -> dict[str, bool]:
        """The paths of its wheels, and whether each is yanked."""
        return {path: file.yanked for path, file in self.manifest.files.items() if path.endswith(".whl")}

    def read(self, path: str) -> bytes:
        """Return the bytes of a file of it, which are those that were signed.

        Raises:
            IntegrityError: they are not, or it is not signed, or it is not there.
        """
        signed, name = self.manifest.files.get(path), f"{self.url.rstrip('/')}/{path}"
        if signed is None:
            raise IntegrityError(
                f"{name} is not in what was signed of the channel",
                hint="have its publisher publish it from a site that has it.",
            )
        data = self.fetch(path)
        if data is None:
            raise IntegrityError(
                f"{name} is signed, and it is not there", hint="publish it again: that mends it."
            )
        if len(data) != signed.size or hashlib.sha256(data).hexdigest() != signed.sha256:
            raise IntegrityError(
                f"{name} is not what was signed: its bytes were replaced",
                hint="find out who writes to that channel, remove the file and publish it again.",
            )
        return data


@contextmanager
def verified_channel(url: str, reader: Reader) -> Iterator[VerifiedChannel]:
    """Open a channel whose manifest a trusted key has signed, and whose time has not run out.

    Args:
        url: where it is served (``http``, ``https``), or its store as for ``publish``.

    Raises:
        UsageError: it is not signed.
        IntegrityError: no trusted key has signed it, an old manifest was put back, or it has expired.
        NetworkError: it cannot be reached.
    """
    with new_client() as client:
        fetch = _from_web(client, url) if url.startswith(("http://", "https://")) else open_store(url).read
        data = fetch(NEWEST)
        if data is None:
            raise UsageError(
                f"{url} is not signed",
                hint="its publisher signs it with `crosswheel keys new`, then publish.",
            )
        manifest = reader.open(data, url)
        if manifest.expires < time.time():
            day = time.strftime("%Y-%m-%d", time.gmtime(manifest.expires))
            raise IntegrityError(
                f"the manifest of {url} expired on {day}",
                hint="have its publisher run `crosswheel publish` again, which signs it anew. If that was done, "
                "somebody holds back what is new.",
            )
        yield VerifiedChannel(url, manifest, fetch)


def _from_web(client: httpx.Client, url: str) -> Fetch:
    def fetch(path: str) -> bytes | None:
        response = get(client, f"{url.rstrip('/')}/{path}", accept="*/*")
        return None if response.status_code == httpx.codes.NOT_FOUND else response.content

    return fetch
