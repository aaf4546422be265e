"""Which channel a git reference is published to."""

from __future__ import annotations

from dataclasses import dataclass

from crosswheel.errors import UsageError

_BRANCH, _TAG = "refs/heads/", "refs/tags/"
_RELEASE = "packages@v"
# A branch with such a folder in its name would lie among the pages of a shorter one.
_RESERVED = {"simple", "project", "assets", "signed"}


@dataclass(frozen=True)
class Stores:
    """The URLs of the three places that channels are in; ``None`` where there is none."""

    development: str | None = None
    staging: str | None = None
    production: str | None = None


@dataclass(frozen=True)
class Channel:
    """A place to publish to.

    Attributes:
        name: ``staging``, ``production``, or the branch.
        url: the URL below which ``simple/`` is.
        of_git: whether the name follows from git.
    """

    name: str
    url: str
    of_git: bool = True


def channel_of(ref: str, stores: Stores) -> Channel:
    """Return the channel of a git reference.

    The branch ``main`` is staged, a tag ``packages@v…`` is released, and every other branch has a channel of
    its own below the development store; slashes in its name make folders.

    Args:
        ref: a full reference, such as ``refs/heads/main`` or ``refs/tags/packages@v1.2.0``.
        stores: where channels are.

    Raises:
        UsageError: the reference is published nowhere, or no store is given for it.
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
