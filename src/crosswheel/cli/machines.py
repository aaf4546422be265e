"""The commands that tell of targets: what is known of each machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.cli.learning import check, learn, update
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import TARGETS
from crosswheel.progress import table
from crosswheel.targets import Target
from crosswheel.toolchain.python.choosing import origin

commands = typer.Typer(
    help="Tell what is known of the machines that wheels are made for.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (learn, check, update):
        commands.command()(spread(command))
    app.add_typer(commands, name="target")


@commands.command("list")
def list_targets() -> None:
    """List the targets that ship with crosswheel, and those of this folder's `targets/`."""
    known = [targets.load(name, TARGETS) for name in targets.names(TARGETS)]
    rows = [
        [
            target.name,
            target.title,
            f"CPython {target.python.version}",
            f"glibc {target.abi.glibc}",
            target.machine,
        ]
        for target in known
    ]
    table(Console(), "Targets", ["name", "machine", "Python", "C library", "CPU"], rows)


@commands.command("show")
def show_target(
    target: Annotated[str, typer.Argument(help="A target: a name, or a TOML file.", show_default=False)],
) -> None:
    """Show on one screen what a machine can take."""
    chosen = targets.load(target, TARGETS)
    table(
        Console(),
        f"{chosen.name}: {chosen.title}",
        ["of", "what is known"],
        [list(row) for row in facts(chosen)],
    )


def facts(target: Target) -> list[tuple[str, str]]:
    """Return what is known of a target, by what it is about."""
    abi, python, image = target.abi, target.python, target.image
    floats = "" if abi.float == "any" else f", {abi.float}-float"
    newest = f"glibc {abi.glibc}, GLIBCXX {abi.glibcxx}, CXXABI {abi.cxxabi}, GCC {abi.gcc}"
    emulated = (
        "not run: only its headers can be had"
        if python.headers
        else f"emulated, as CPython {python.version}, {origin(target)}"
    )
    sent = " that is sent there" if python.provided else ""
    lines = [
        (
            "machine",
            f"{target.machine}, {abi.bits}-bit, {abi.byte_order}-endian{floats}; Linux {target.kernel}",
        ),
        ("CPU", f"{target.toolchain.cpu} (as zig names it)"),
        (
            "Python",
            f"CPython {python.version}{sent}, pip {python.pip}, modules *{target.extension_suffix}",
        ),
        ("newest symbols", newest),
        ("wheel tags", f"{len(target.tags)}, {target.tags[0]} the best"),
        ("proofs", emulated),
        ("libraries", f"{len(image.libraries)}: {', '.join(sorted(image.libraries))}"),
        ("packages", f"{len(image.packages)} in its image" if image.packages else "none in its image"),
    ]
    if target.robot:
        pip = "needs one wheel with a program's whole closure" if target.robot.bundle else "installs as usual"
        lines += [
            ("environments", f"in {target.robot.store}, commands in {target.robot.programs}"),
            ("plain pip", pip),
        ]
    return lines
