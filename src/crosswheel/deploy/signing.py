"""What a robot is told of a release: signed by the laboratory's key, or as it is."""

from __future__ import annotations

import time
from collections.abc import Mapping

from crosswheel.agent.signed import RELEASE
from crosswheel.deploy.release import Release
from crosswheel.signing.envelope import sign
from crosswheel.signing.keys import KeyFolder
from crosswheel.signing.rotation import rotations

_VALID_SECONDS = 365 * 24 * 3600  # a bundle may lie for long before somebody carries it to a robot

UNSIGNED = (
    "this release is not signed: a robot cannot tell who made it, and installs what anybody gives it. `crosswheel keys "
    "new` makes a key, and the next deployment has the robot know it; see docs/trust.md"
)


def signed_offer(release: Release, keys: KeyFolder) -> Mapping[str, object]:
    """Return a release as it is told to robots; signed, where there is a key that signs.

    Raises:
        UsageError: there is a key that cannot be used.
    """
    key = keys.signing_key()
    if key is None:
        return {"release": release.offer}
    issued = int(time.time())
    statement = {
        "release": release.offer,
        "issued": issued,
        "expires": issued + _VALID_SECONDS,
        "key": key.public.hexadecimal,
    }
    return {"envelope": sign(statement, RELEASE, key), "rotations": list(rotations(keys))}
