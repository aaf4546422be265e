"""Decides which key a robot trusts, and how recent a signature has to be.

The store has this in ``trust.json``. The first signed release that is activated pins the key that signed it; from then
on the robot refuses releases of other keys, until that key hands over to another. For each environment the file records
when its newest release was signed. Releases with an older signature are refused, so that nobody brings back an old
version with a known weakness.

A robot's clock may be wrong: many have none that runs without power, and start in 1970. The later of two times counts
as now: the clock's, and that of the newest signature of an installed release.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from crosswheel.agent.disk import replace_text
from crosswheel.agent.manifest import Refused
from crosswheel.agent.signed import CHANNEL, RELEASE, ROTATION, opened, unverified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from crosswheel.agent.manifest import Manifest
    from crosswheel.agent.signed import Envelope

_FILE = "trust.json"
_ENVELOPE = "signed.json"


class Trust:
    """The content of a store's ``trust.json``; without that file, no key is pinned yet, and every release is accepted.

    Raises:
        Refused: the file is damaged, which does not count as missing.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / _FILE
        self.key: str | None = None
        self._former: list[str] = []
        self._issued: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        if self._path.exists():
            try:
                kept = json.loads(self._path.read_bytes())
                self.key, self._former, self._issued = kept["key"], kept["former"], dict(kept["issued"])
                self._channels = dict(kept.get("channels", {}))
                bytes.fromhex(str(self.key))
            except (KeyError, TypeError, ValueError):
                raise Refused(
                    "signature",
                    f"{self._path} is damaged, so it is not known whose releases are installed here; remove it to have "
                    "the next signed release say so anew",
                ) from None

    def accept(self, envelope: Envelope, rotations: Iterable[Envelope] = ()) -> tuple[Manifest, int]:
        """Verify an envelope; return the release in it, and when it was signed.

        Args:
            rotations: the statements by which each former key handed over to the next.

        Raises:
            Refused: the trusted key has not signed it, or the signature has expired or is older than the installed one.
        """
        self._follow(rotations)
        key = self.key or str(unverified(envelope).get("key"))
        statement = opened(envelope, RELEASE, [key])
        release, issued, expires = statement["release"], int(statement["issued"]), int(statement["expires"])
        newest = self._issued.get(release["name"], 0)
        if issued < newest:
            raise Refused(
                "signature",
                f"it was signed on {_day(issued)}, and what is installed on {_day(newest)}: nothing older is taken",
            )
        self._require_time(expires)
        return release, issued

    def remember(self, folder: Path, name: str, envelope: Envelope, issued: int) -> str | None:
        """Record, before the switch, that a release was accepted; return its key if this pins it.

        Args:
            folder: the release's folder, which gets the envelope.
        """
        pinned = None if self.key else str(unverified(envelope)["key"])
        self.key = self.key or pinned
        self._issued[name] = issued
        replace_text(folder / _ENVELOPE, json.dumps(envelope), 0o444)
        self._write()
        return pinned

    def channel_files(self, envelope: Envelope) -> dict[str, str]:
        """Return the SHA-256 of each file in a channel's manifest, by path; record the manifest's number.

        Raises:
            Refused: no key is pinned, or it did not sign the manifest, or the manifest has expired or is an older one.
        """
        if self.key is None:
            raise Refused("signature", "no key is trusted here: deploy something that is signed first")
        statement = opened(envelope, CHANNEL, [self.key])
        channel, version = str(statement["channel"]), int(statement["version"])
        newest = self._channels.get(channel, 0)
        if version < newest:
            raise Refused(
                "signature",
                f"the channel's manifest is number {version}, and number {newest} was here before",
            )
        self._require_time(int(statement["expires"]))
        if version > newest:
            self._channels[channel] = version
            self._write()
        return {path: str(file["sha256"]) for path, file in statement["files"].items()}

    def faults(self, folder: Path, release: Manifest) -> Iterator[str]:
        """Return the faults of a signed release whose description is not exactly the signed one."""
        path = folder / _ENVELOPE
        if self.key is None or not path.exists():
            return
        try:
            statement = opened(json.loads(path.read_bytes()), RELEASE, [self.key, *self._former])
        except (Refused, ValueError) as refusal:
            yield f"{path}: {refusal}"
            return
        packages = [{k: v for k, v in package.items() if k != "place"} for package in release["packages"]]
        if {**release, "packages": packages} != statement["release"]:
            yield f"{folder}/release.json: it is not what was signed"

    def _write(self) -> None:
        kept = {"key": self.key, "former": self._former, "issued": self._issued, "channels": self._channels}
        replace_text(self._path, json.dumps(kept, indent=1), 0o644)

    def _require_time(self, expires: int) -> None:
        now = max([time.time(), *self._issued.values()])
        if expires < now:
            raise Refused("signature", f"its signature expired on {_day(expires)}, and it is {_day(now)}")

    def _follow(self, rotations: Iterable[Envelope]) -> None:
        """Trust the key that the trusted one handed over to, and the next, to the end of the chain.

        Hand-overs that the currently trusted key did not sign are skipped: the robot may already have followed them.
        """
        for rotation in rotations:
            if self.key is None:
                return
            try:
                statement: dict[str, Any] = opened(rotation, ROTATION, [self.key])
                bytes.fromhex(statement["to"])
            except (Refused, KeyError, TypeError, ValueError):
                continue
            self._former.append(self.key)
            self.key = statement["to"]


class Signed:
    """A release whose signature was accepted."""

    def __init__(self, trust: Trust, name: str, envelope: Envelope, issued: int) -> None:
        self._trust, self._name, self._envelope, self._issued = trust, name, envelope, issued

    def remember(self, folder: Path) -> str | None:
        """Record that it was accepted, with its envelope; return the key if this pins one."""
        return self._trust.remember(folder, self._name, self._envelope, self._issued)


def accepted(
    root: Path,
    release: Manifest | None = None,
    envelope: Envelope | None = None,
    rotations: Iterable[Envelope] = (),
) -> tuple[Manifest, Signed | None]:
    """Return a release that may be installed in the store ``root``, and its signature, if it has one.

    Args:
        release: the description of an unsigned release.
        envelope: the envelope of a signed one.

    Raises:
        Refused: the store has a pinned key that has not signed it; or as :meth:`Trust.accept`.
    """
    trust = Trust(root)
    if envelope is not None:
        signed, issued = trust.accept(envelope, rotations)
        return signed, Signed(trust, signed["name"], envelope, issued)
    if trust.key is not None:
        raise Refused(
            "signature", f"it is not signed, and only what the key {trust.key[:16]} signed is installed here"
        )
    if release is None:
        raise Refused("damaged", "it holds no release")
    return release, None


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
