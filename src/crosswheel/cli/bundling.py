"""Defines the commands bundle and robot-sim."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.cached import cache_path
from crosswheel.cli.idle_options import refuse_idle
from crosswheel.cli.keys import key_folder, warn_of_unsigned
from crosswheel.cli.robot_options import NameOption, TargetOption, TestOption, Wheels
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import TARGETS, PythonOption
from crosswheel.deploy.assembling import assembler_for
from crosswheel.deploy.bundle_wheel import BundleWheel
from crosswheel.deploy.bundles import form_of
from crosswheel.deploy.signing import signed_offer
from crosswheel.errors import UsageError
from crosswheel.process import Runner
from crosswheel.progress.wording import size
from crosswheel.settings import Settings
from crosswheel.simulator.image import image_for
from crosswheel.simulator.look_alike import ALIAS, require_look_alike, running


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(spread(bundle))
    app.command("robot-sim")(robot_sim)


def bundle(
    requirement: Annotated[str, typer.Argument(help="The program to bundle, such as prefect==3.3.4.")],
    wheels: Wheels,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write, to be copied to the robot: NAME.pyz or NAME.tar.zst."
        ),
    ] = None,
    wheel: Annotated[
        bool, typer.Option("--wheel", help="Put a wheel for plain pip into the tree of wheels.")
    ] = False,
    name: NameOption = None,
    test: TestOption = None,
    target: TargetOption = "ot2",
    python: PythonOption = None,
) -> None:
    """Make one file of a program and all it needs: a program that installs itself, or a wheel for plain pip."""
    if not output and not wheel:
        raise UsageError(
            "nothing to make", hint="give a file with --output, or --wheel for a wheel that pip installs."
        )
    refuse_idle({"--test": test}, "without --output", idle=not output)
    made_for = targets.load(targets.named_with_python(target, python), TARGETS)
    if output:
        write, keys = form_of(output), key_folder()
        keys.signing_key()  # fails early if the key cannot be used
        release = wheels.release(requirement, made_for, name=name, test=test)
        offer = signed_offer(release, keys)
        runner = Runner(log=cache_path(Settings.from_environment().cache, "installed") / "log.txt")
        _tell_file(output, write(release, offer, output.resolve(), runner))
        warn_of_unsigned(offer)
    if wheel:
        program, closure = wheels.of(requirement, made_for)
        assembler = assembler_for(made_for, Settings.from_environment())
        bundle_wheel = BundleWheel(program, closure, wheels.dist_tree_root.resolve(), assembler, name)
        bundle_wheel.write()
        _tell_file(bundle_wheel.path, "the index offers it after `crosswheel index`")


def _tell_file(path: Path, what_next: str) -> None:
    text = f"{path}: {size(path.stat().st_size)}; {what_next}"
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def robot_sim(
    target: TargetOption = "ot2",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port of its ssh server; 0 for any free one.")
    ] = 2222,
    var_size: Annotated[str, typer.Option("--var-size", help="The size of its /var.")] = "1g",
    folder: Annotated[
        Path | None, typer.Option("--folder", help="The folder for its key and ssh configuration.")
    ] = None,
) -> None:
    """Run a look-alike robot on this machine, to try without one; Ctrl-C ends it, and nothing is kept."""
    console, settings = Console(highlight=False, soft_wrap=True), Settings.from_environment()
    chosen = targets.load(target, TARGETS)
    require_look_alike()
    with contextlib.ExitStack() as stack:
        workspace = folder.resolve() if folder else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = Runner(log=cache_path(settings.cache, "robots") / "log.txt")
        image = image_for(chosen, settings, runner, partial(console.print, markup=False))
        running_robot = stack.enter_context(running(image, workspace, runner, port=port, var_size=var_size))
        config = shlex.quote(str(running_robot.ssh_config))
        console.print(f"The look-alike {chosen.title} runs. In another terminal:")
        console.print(f"  ssh -F {config} {ALIAS}")
        console.print(f"  {_as_typed()} deploy prefect==3.3.4 --ssh-config {config} --robot {ALIAS}")
        for package, state in image.hollow.items():
            console.print(f"  unlike on the robot, {package} is {state}")
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it
            threading.Event().wait()


def _as_typed() -> str:
    """Return the command by which this program was started, relative to the working folder."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m crosswheel"
    if shutil.which(called.name) == str(called):
        return called.name
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)
