"""Signed releases, and forgeries of them: each is a release as robots are told of it, and what is wrong with it."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crosswheel.agent.signed import CHANNEL, RELEASE, ROTATION
from crosswheel.deploy.release import Release
from crosswheel.signing.envelope import sign
from crosswheel.signing.keys import KeyFolder, SigningKey

Offer = Mapping[str, Any]
_FAR = 4_000_000_000


def keys_in(folder: Path) -> KeyFolder:
    """Return a folder of keys with a new one."""
    keys = KeyFolder(folder)
    keys.create()
    return keys


def offer_of(
    release: Release,
    signer: SigningKey,
    *,
    kind: str = RELEASE,
    issued: int = _FAR - 1,
    expires: int = _FAR,
    **more: object,
) -> Offer:
    """Return a release that a key signed, at some time."""
    public = signer.public.hexadecimal
    statement = {"release": release.offer, "issued": issued, "expires": expires, "key": public, **more}
    return {"envelope": sign(statement, kind, signer)}


def _changed(offer: Offer, change: Callable[[dict[str, Any]], object]) -> Offer:
    """Return an offer with its signature, and with another statement."""
    envelope = copy.deepcopy(offer["envelope"])
    statement = json.loads(base64.b64decode(envelope["payload"]))
    change(statement)
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return {"envelope": envelope}


def forgeries(release: Release, keys: KeyFolder) -> dict[str, tuple[Offer, str]]:
    """Return what a robot that knows a key must refuse, with what it says; by what is wrong with it."""
    key, other = keys.signing_key(), SigningKey.new()
    assert key is not None
    good, nobody = offer_of(release, key), "none of its signatures is by a key that is trusted here"
    envelope = good["envelope"]
    (signature,) = envelope["signatures"]
    package = release.closure[0].offer
    foreign = sign({"from": key.public.hexadecimal, "to": other.public.hexadecimal}, ROTATION, other)
    return {
        "unsigned": ({"release": release.offer}, "it is not signed"),
        "another key": (offer_of(release, other), nobody),
        "another key under our name": (
            {
                "envelope": {
                    **offer_of(release, other)["envelope"],
                    "signatures": [_renamed(release, other, signature)],
                }
            },
            nobody,
        ),
        "another key that hands over to itself": (
            {**offer_of(release, other), "rotations": [foreign]},
            nobody,
        ),
        "another key that says it is ours": (offer_of(release, other, key=key.public.hexadecimal), nobody),
        "another package": (
            _changed(
                good, lambda s: s["release"]["packages"].__setitem__(0, {**package, "digest": "0" * 64})
            ),
            nobody,
        ),
        "another test": (
            _changed(good, lambda s: s["release"].update(test=[["bin/python3", "-c", ""]])),
            nobody,
        ),
        "another expiry": (
            _changed(
                offer_of(release, key, issued=1, expires=2), lambda s: s.update(issued=_FAR, expires=_FAR)
            ),
            nobody,
        ),
        "another statement of ours": (offer_of(release, key, kind=CHANNEL), f"signed is {CHANNEL}"),
        "another statement of ours, renamed": (
            {"envelope": {**offer_of(release, key, kind=CHANNEL)["envelope"], "payloadType": RELEASE}},
            nobody,
        ),
        "expired": (offer_of(release, key, issued=_FAR - 2, expires=1), "its signature expired"),
        "older than what is installed": (offer_of(release, key, issued=1), "nothing older is taken"),
        "without a signature": ({"envelope": {**envelope, "signatures": []}}, nobody),
        "with another signature": (
            {
                "envelope": {
                    **envelope,
                    "signatures": [{**signature, "sig": base64.b64encode(bytes(64)).decode()}],
                }
            },
            nobody,
        ),
        "with what is no signature": (
            {"envelope": {**envelope, "signatures": [{"sig": "?"}]}},
            "not signed as it should",
        ),
        "no envelope": ({"envelope": {"release": release.offer}}, "not signed as it should"),
    }


def _renamed(release: Release, other: SigningKey, ours: Mapping[str, str]) -> dict[str, str]:
    (signature,) = offer_of(release, other)["envelope"]["signatures"]
    return {**signature, "keyid": ours["keyid"]}
