"""Every error a user can meet: what happened, to what, and what to do next.

Exit codes are those of the original ``build-packages``: 1 when a build command failed, 2 for
anything else. A verdict against a wheel (:class:`CheckFailed`) is a failed build as well.
"""

from __future__ import annotations


class CrosswheelError(Exception):
    """The base of all errors that are explained to the user instead of traced.

    ``message`` says what happened and to what; ``hint`` says what to do next; ``kind`` says of many what they have in
    common.
    """

    exit_code = 2
    kind = "something else"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (an Executor may be one); Exception's own way loses keywords.
        return (_restore, (type(self), self.message, self.hint))

    def __str__(self) -> str:
        return self.message


def _restore(kind: type[CrosswheelError], message: str, hint: str) -> CrosswheelError:
    return kind(message, hint=hint)


class UsageError(CrosswheelError):
    """The command line names something that does not exist or does not fit."""

    kind = "what was asked for cannot be read"


class TargetError(CrosswheelError):
    """A target file is missing or wrong; the message names the key and what was expected."""


class RecipeError(CrosswheelError):
    """A recipe is wrong; the message names file and line."""


class LockError(CrosswheelError):
    """The lock is missing or does not fit the recipe, or no set of versions satisfies the requirements."""

    kind = "no set of releases satisfies it"


class PlanError(CrosswheelError):
    """A locked package has neither a wheel that loads on the target nor a source to build."""

    kind = "neither a wheel that loads nor a source"


class NetworkError(CrosswheelError):
    """Something could not be downloaded."""

    kind = "something could not be downloaded"


class IntegrityError(CrosswheelError):
    """Bytes are not what was promised: a wrong hash, a truncated or malicious archive."""

    kind = "bytes were not what was promised"


class MissingToolError(CrosswheelError):
    """A program that has to come from the user's system is not there."""

    kind = "a program is missing on this machine"


class HostError(CrosswheelError):
    """What every build needs cannot be had on this machine: none is begun, and it is told once."""


class ToolchainError(CrosswheelError):
    """The cross view or a tool of it is not what it should be."""


class StorageError(CrosswheelError):
    """A file could not be written: the disk is full, or the folder is not writable."""

    kind = "a file could not be written"


class Interrupted(CrosswheelError):
    """The user asked to stop."""

    exit_code = 130


class BuildFailed(CrosswheelError):
    """A build command exited with a failure."""

    exit_code = 1
    kind = "the build failed"


class LimitExceeded(BuildFailed):
    """A program took more time than it may."""

    kind = "it took more time than it may"


class CheckFailed(CrosswheelError):
    """A wheel would not load or run on the target, so it was refused."""

    exit_code = 1
    kind = "the wheel would not work on the target"
