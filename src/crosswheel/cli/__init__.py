"""Defines the command line: one small function for each command, which parses, calls and prints.

Each module has the commands of one subject, and is imported only when one of its commands runs, so that a ``build``
with a warm cache does not import the code for serving, publishing and deploying.
"""

from __future__ import annotations

import gc
import signal
import sys
from importlib import import_module
from typing import Annotated

import typer
from typer.core import TyperGroup

from crosswheel import __version__
from crosswheel.errors import CrosswheelError, HostError, Interrupted

# The panels of the help, with their modules and the commands that `register` of each adds.
_PANELS = {
    "Wheels for a target": {
        "crosswheel.cli.building": ("build", "add", "plan", "lock"),
        "crosswheel.cli.checking": ("check", "doctor"),
        "crosswheel.cli.machines": ("target",),
        "crosswheel.cli.simulating": ("run", "twin"),
    },
    "Onto a robot": {
        "crosswheel.cli.robots": ("deploy", "verify", "rollback", "remove", "list", "preflight", "service"),
        "crosswheel.cli.bundling": ("bundle", "robot-sim"),
    },
    "An index for many": {
        "crosswheel.cli.indexing": ("index", "serve"),
        "crosswheel.cli.publishing": ("publish", "yank", "unyank", "prune"),
        "crosswheel.cli.attesting": ("attest",),
        "crosswheel.cli.exporting": ("export",),
        "crosswheel.cli.caching": ("cache",),
        "crosswheel.cli.clustering": ("scheduler", "worker"),
    },
    "Up to date, and trusted": {
        "crosswheel.cli.updating": ("outdated", "update"),
        "crosswheel.cli.auditing": ("audit",),
        "crosswheel.cli.rebuilding": ("rebuild",),
        "crosswheel.cli.keys": ("keys",),
    },
}
_MODULES = {module: names for modules in _PANELS.values() for module, names in modules.items()}
_PANEL_OF = {module: panel for panel, modules in _PANELS.items() for module in modules}

_COLLECT_AFTER = 50_000  # objects; Python's default is 700


class _Commands(TyperGroup):
    """The group of all commands; it imports each one when it is called."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names of all commands, in the order of the modules."""
        self._import(*_MODULES)
        return [name for names in _MODULES.values() for name in names]

    def get_command(self, ctx: typer.Context, cmd_name: str):  # type: ignore[no-untyped-def, override]
        """Return a command; for an unknown name, import all, so that typer can suggest a similar one."""
        module = next((module for module, names in _MODULES.items() if cmd_name in names), None)
        self._import(*([module] if module else _MODULES))
        return super().get_command(ctx, cmd_name)

    def _import(self, *modules: str) -> None:
        # Few objects are in cycles: collect garbage less often, and leave out all imported objects.
        gc.set_threshold(_COLLECT_AFTER)
        for module in modules:
            part = typer.Typer()
            import_module(module).register(part)
            for command in part.registered_commands:
                command.rich_help_panel = _PANEL_OF[module]
            for group in part.registered_groups:
                group.rich_help_panel = _PANEL_OF[module]
            self.commands.update(typer.main.get_group(part).commands)
        gc.freeze()


app = typer.Typer(
    cls=_Commands,
    name="crosswheel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(requested: bool) -> None:
    if requested:
        print(f"crosswheel {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Name a Python package and a machine that cannot build it; get an index it can install from."""


def main() -> None:
    """Run the command line; show every error that a user can cause as one message, and exit with its code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends children and restores the terminal
    try:
        app()
    except CrosswheelError as error:
        _show(error)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("crosswheel"):  # a bug, not an outdated environment
            raise
        _show(_outdated(error))
        sys.exit(HostError.exit_code)
    except SystemExit as ending:
        if ending.code == Interrupted.exit_code:  # typer exits so on Ctrl-C, without a message
            stopped = Interrupted("stopped", hint="run the same command again: it goes on where it stopped.")
            _show(stopped)
        raise


def _outdated(error: ModuleNotFoundError) -> HostError:
    """Explain a missing library: the environment was made for an earlier version of the code.

    It may also be a part of Python itself, if that was built without libraries such as liblzma.
    """
    if error.name in sys.stdlib_module_names:
        return HostError(
            f"the Python {sys.executable} was built without {error.name.lstrip('_')} of the standard library",
            hint="name a complete one, such as the system's, in CROSSWHEEL_PYTHON; in a checkout, remove .venv first.",
        )
    return HostError(
        f"this version of crosswheel needs the library {error.name}, which {sys.prefix} lacks",
        hint="in a checkout, run `./build-packages --help`, which renews it; elsewhere, install crosswheel again.",
    )


def _show(error: CrosswheelError) -> None:
    from rich.console import Console  # slow to import, and most runs end without an error

    from crosswheel.progress import show_error

    show_error(Console(stderr=True), error)
