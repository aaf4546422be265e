"""Defines all errors that are explained to users: what happened, to what, and what to do next.

The exit codes are those of the original ``build-packages``: 1 if a build command failed, 2 for any other error. A
wheel that was refused (:class:`CheckFailed`) counts as a failed build.
"""

from __future__ import annotations


class CrosswheelError(Exception):
    """The base of all errors that users see as a message, without a traceback.

    Attributes:
        message: what happened, and to what.
        hint: what to do next.
        kind: a title under which reports group such errors.
    """

    exit_code = 2
    kind = "something else"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are pickled between processes, and Exception's own method loses keyword arguments.
        return (_restore, (type(self), self.message, self.hint))

    def __str__(self) -> str:
        return self.message


def _restore(kind: type[CrosswheelError], message: str, hint: str) -> CrosswheelError:
    return kind(message, hint=hint)


class UsageError(CrosswheelError):
    """The command line, or a file that it names, asks for something that does not exist or does not fit."""

    kind = "the request cannot be read"


class TargetError(CrosswheelError):
    """A target file is missing or invalid; the message names the key and the expected value."""


class RecipeError(CrosswheelError):
    """A recipe is invalid; the message names the file and the line."""


class LockError(CrosswheelError):
    """The lock is missing or does not fit the recipe, or no set of versions satisfies the requirements."""

    kind = "no set of releases satisfies it"


class PlanError(CrosswheelError):
    """A locked release has neither a wheel that loads on the target nor a source to build."""

    kind = "neither a wheel that loads nor a source"


class NetworkError(CrosswheelError):
    """A download failed."""

    kind = "a download failed"


class IntegrityError(CrosswheelError):
    """A file failed verification: it has another hash, or it is a truncated or malicious archive."""

    kind = "a file failed verification"


class MissingToolError(CrosswheelError):
    """A program that the user has to install is missing."""

    kind = "a program is missing on this machine"


class HostError(CrosswheelError):
    """This machine lacks something that every build needs: no build starts, and the user is told once."""


class ToolchainError(CrosswheelError):
    """The cross view, or a tool of the toolchain, does not work as expected."""


class StorageError(CrosswheelError):
    """A file could not be written: the disk is full, or the folder is not writable."""

    kind = "a file could not be written"


class Interrupted(CrosswheelError):
    """The user asked to stop."""

    exit_code = 130


class BuildFailed(CrosswheelError):
    """A build command exited with a failure.

    Attributes:
        library: the C library that the build did not find, if crosswheel knows it.
        build_dependency: the package that brings the program that the build did not find, if there is one.
    """

    exit_code = 1
    kind = "the build failed"
    library: str | None = None
    build_dependency: str | None = None


class LimitExceeded(BuildFailed):
    """A program exceeded its time limit."""

    kind = "it exceeded its time limit"


class AllowanceSpent(LimitExceeded):
    """The programs of one package took all the time that it may take: of the package, nothing is known by that."""


class CheckFailed(CrosswheelError):
    """A wheel was refused, because it would not load or run on the target.

    Attributes:
        library: the C library that its build did without, if that may be the cause and crosswheel knows it.
    """

    exit_code = 1
    library: str | None = None
    kind = "the wheel would not work on the target"
