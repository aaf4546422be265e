"""What comes in is signed by a key that is trusted here; what goes out to robots, by the laboratory's key."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from crosswheel.agent.signed import RELEASE
from crosswheel.deploy.release import Release
from crosswheel.errors import IntegrityError
from crosswheel.files import sha256_of
from crosswheel.signing.envelope import sign
from crosswheel.signing.keys import KeyFolder, PublicKey
from crosswheel.signing.rotation import rotations
from crosswheel.targets import Target
from crosswheel.wheels.provenance import path_beside, read_signed

if TYPE_CHECKING:
    from crosswheel.deploy.assembling import ProvenWheel

_VALID_SECONDS = 365 * 24 * 3600  # a bundle may lie for long before somebody carries it to a robot

UNSIGNED = (
    "this release is not signed: a robot cannot tell who made it, and installs what anybody gives it. `crosswheel keys "
    "new` makes a key, and the next deployment has the robot know it; see docs/trust.md"
)


def require_signed(wheels: Sequence[ProvenWheel], target: Target, trusted: Sequence[PublicKey]) -> None:
    """Refuse wheels, and proofs of them, that no trusted key has signed: somebody may have put them into ``dist/``.

    Raises:
        IntegrityError: the first that is not signed, or not as it is now.
    """
    for wheel in wheels:
        path = path_beside(wheel.path, target.name)
        said = read_signed(path, trusted, wheel.proof.sha256)
        proof = wheel.proof.path_beside(wheel.path)
        signed = [item["digest"]["sha256"] for item in said["predicate"]["runDetails"]["byproducts"]]
        if sha256_of(proof) not in signed:
            raise IntegrityError(
                f"{proof} is not the proof that was signed with the wheel",
                hint="something changed it since: remove both, and run `crosswheel build` again.",
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
