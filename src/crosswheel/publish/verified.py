"""Read a channel's signed files from any server; unsigned files are not read."""

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
"""Returns the bytes of a channel's file, ``None`` if it does not exist."""


@dataclass(frozen=True)
class VerifiedChannel:
    """A channel with a manifest that a trusted key signed.

    Attributes:
        url: its URL, for messages.
    """

    url: str
    manifest: Manifest
    fetch: Fetch

    @property
    def wheels(self) -> dict[str, bool]:
        """The paths of its wheels, each with whether it is yanked."""
        return {path: file.yanked for path, file in self.manifest.files.items() if path.endswith(".whl")}

    def read(self, path: str) -> bytes:
        """Return the bytes of one of the channel's files, verified against the manifest.

        Raises:
            IntegrityError: the bytes differ from the signed ones, or the file is unsigned or missing.
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
    """Open a channel with a manifest that a trusted key signed and that has not expired.

    Args:
        url: the URL that serves it (``http``, ``https``), or its store as for ``publish``.

    Raises:
        UsageError: it is not signed.
        IntegrityError: no trusted key signed it, an old manifest was replayed, or it has expired.
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
