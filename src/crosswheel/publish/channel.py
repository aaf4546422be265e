"""Choose the channel for a git reference."""

from __future__ import annotations

from dataclasses import dataclass

from crosswheel.errors import UsageError

_BRANCH, _TAG = "refs/heads/", "refs/tags/"
_RELEASE = "packages@v"
# The pages of such a branch would collide with a folder of a shorter branch's channel.
_RESERVED = {"simple", "project", "assets", "signed"}


@dataclass(frozen=True)
class Stores:
    """The URLs of the three stores that hold channels; ``None`` for a missing one."""

    development: str | None = None
    staging: str | None = None
    production: str | None = None


@dataclass(frozen=True)
class Channel:
    """A destination for publishing.

    Attributes:
        name: ``staging``, ``production``, or the branch.
        url: the URL below which ``simple/`` is.
        of_git: whether the name comes from a git reference.
    """

    name: str
    url: str
    of_git: bool = True


def channel_of(ref: str, stores: Stores) -> Channel:
    """Return the channel for a git reference.

    The branch ``main`` is published to staging and a tag ``packages@v…`` to production. Every other branch gets its own
    channel below the development store; slashes in its name become folders.

    Args:
        ref: a full reference, such as ``refs/heads/main`` or ``refs/tags/packages@v1.2.0``.
        stores: the stores that hold channels.

    Raises:
        UsageError: the reference has no channel, or its store is missing.
    """
    if ref == f"{_BRANCH}main":
        return Channel("staging", _required_url("staging", stores.staging))
    if ref.startswith(f"{_TAG}{_RELEASE}"):
        return Channel("production", _required_url("production", stores.production))
    branch = ref[len(_BRANCH) :] if ref.startswith(_BRANCH) else ""
    parts = branch.split("/")
    if not branch or not all(parts) or _RESERVED & set(parts) or any(part.startswith(".") for part in parts):
        raise UsageError(
            f"{ref} is not published anywhere",
            hint=f"a branch is (without a folder {', '.join(sorted(_RESERVED))} in its name), "
            f"and a tag {_RELEASE}1.2.0.",
        )
    return Channel(branch, f"{_required_url('development', stores.development).rstrip('/')}/{branch}")


def _required_url(kind: str, url: str | None) -> str:
    if not url:
        raise UsageError(
            f"it is not known where the {kind} channel is",
            hint=f"give --{kind}-store, or set CROSSWHEEL_{kind.upper()}_STORE.",
        )
    return url
