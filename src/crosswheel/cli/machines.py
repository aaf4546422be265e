"""The commands that tell of targets: what is known of each machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.cli.trees import TARGETS
from crosswheel.errors import UsageError
from crosswheel.process import Runner
from crosswheel.progress import activity, table
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.python.choosing import origin

commands = typer.Typer(
    help="Tell what is known of the machines that wheels are made for.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
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


@commands.command("learn")
def learn_target(
    name: Annotated[str, typer.Argument(help="What the target shall be called.", show_default=False)],
    rootfs: Annotated[
        Path | None,
        typer.Option(
            "--rootfs",
            help="Its root file system: a folder, a tar archive as of docker export, an image of SquashFS or ext4.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="What people call it.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of another machine's file of this name.")
    ] = False,
) -> None:
    """Learn a machine from its root file system: write targets/NAME.toml, and keep its own libraries and Python."""
    from crosswheel.learning.learn import Named, learn_root, require_name, write_target

    require_name(name)
    if rootfs is None:
        raise UsageError("no machine is named", hint="name its root file system with --rootfs.")
    settings = Settings.from_environment()
    with activity(Console(stderr=True)) as tell:
        learned = learn_root(Named(name, title), rootfs, settings, Runner(), tell)
    path, target = write_target(learned, TARGETS, replace=replace)
    typer.echo(f"{target.title}: written to {path}. `crosswheel target show {name}` shows it.")


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
