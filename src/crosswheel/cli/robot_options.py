"""Defines the options of the commands for robots, by subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from crosswheel import targets
from crosswheel.cli.trees import DIST, RECIPES, TARGETS, PythonOption, RecipesOption
from crosswheel.deploy.carried import agent_for
from crosswheel.deploy.fleet import RobotResult, on_each, read_list
from crosswheel.deploy.signing import require_signed
from crosswheel.deploy.ssh import Address, Connection
from crosswheel.errors import UsageError
from crosswheel.settings import Settings
from crosswheel.signing.keys import KeyFolder
from crosswheel.targets import Target, robot_of

if TYPE_CHECKING:
    from crosswheel.deploy.assembling import LockedProgram, ProvenWheel
    from crosswheel.deploy.release import Release

T = TypeVar("T")

TargetOption = Annotated[
    str, typer.Option("--target", help="The target of the robots: a name, or a TOML file.")
]

NameOption = Annotated[
    str | None, typer.Option("--name", help="The name of the environment; by default, the program's.")
]
TestOption = Annotated[
    str | None,
    typer.Option("--test", help="A command of the program that has to succeed, such as 'prefect version'."),
]


@dataclass(frozen=True)
class Login:
    """The options for logging in to a robot by ssh, whose own configuration applies otherwise."""

    user: Annotated[str | None, typer.Option("--user", help="The user to log in as.")] = None
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="The port of its ssh server.")
    ] = None
    identity: Annotated[Path | None, typer.Option("--identity", help="The file of the private key.")] = None
    ssh_config: Annotated[
        Path | None, typer.Option("--ssh-config", help="An ssh configuration that replaces your own.")
    ] = None
    sudo: Annotated[
        bool,
        typer.Option("--sudo", help="Become root on the robot by sudo, which must not ask for a password."),
    ] = False

    def to(self, host: str) -> Address:
        """Return the address of a robot, with these options."""
        if host.startswith("-"):
            raise UsageError(
                f"{host!r} is not the name of a robot", hint="write a name or an address, as for ssh."
            )
        return Address(host, self.user, self.port, self.identity, self.ssh_config, self.sudo)


@dataclass(frozen=True)
class Fleet:
    """The options that name robots of one kind: on the command line, or in a file."""

    robot: Annotated[
        list[str] | None,
        typer.Option(
            "--robot", help="A robot, as for ssh: a name or an address; may be given several times."
        ),
    ] = None
    robots: Annotated[Path | None, typer.Option("--robots", help="A file of robots, one on each line.")] = (
        None
    )
    target: TargetOption = "ot2"
    python: PythonOption = None

    @property
    def kind(self) -> Target:
        """The target of the robots."""
        return targets.load(targets.named_with_python(self.target, self.python), TARGETS)

    @property
    def names(self) -> list[str]:
        """Each robot once; raises :class:`UsageError` if none is named."""
        names = list(dict.fromkeys([*(self.robot or ()), *(read_list(self.robots) if self.robots else ())]))
        if not names:
            raise UsageError(
                "no robot is named", hint="name one with --robot, or a file of them with --robots."
            )
        return names

    def ask(self, login: Login, work: Callable[[Connection], T]) -> list[RobotResult[T]]:
        """Open the store of each robot and do some work there, on many robots at once."""
        kind = self.kind
        robot = robot_of(kind)

        def ask_robot(address: Address) -> T:
            with connected(address, kind) as connection:
                connection.ask("open", store=robot.store, programs=robot.programs)
                return work(connection)

        return on_each(list(map(login.to, self.names)), ask_robot)


def connected(address: Address, kind: Target) -> Connection:
    """Connect to a robot of a target's kind."""
    return Connection(address, agent_for(kind.python.short, Settings.from_environment().cache))


@dataclass(frozen=True)
class Wheels:
    """The options for the folders of locks and of their wheels."""

    recipes: RecipesOption = RECIPES
    dist_tree_root: Annotated[
        Path, typer.Option("--dist-tree-root", help="The folder of the proven wheels.")
    ] = DIST

    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Also take wheels without the signature of a trusted key.")
    ] = False

    def of(self, requirement: str, target: Target) -> tuple[LockedProgram, list[ProvenWheel]]:
        """Return the program that a requirement names, and the wheels of its lock."""
        from crosswheel.deploy.assembling import chosen  # imported late, while a connection is being made

        program, wheels = chosen(requirement, self.recipes, self.dist_tree_root.resolve(), target)
        trusted = KeyFolder.of(Settings.from_environment().keys).trusted()
        if trusted and not self.unsigned:
            require_signed(wheels, target, trusted)
        return program, wheels

    def release(
        self, requirement: str, target: Target, *, name: str | None = None, test: str | None = None
    ) -> Release:
        """Assemble a program's release for a target."""
        from crosswheel.deploy.assembling import assembler_for

        program, wheels = self.of(requirement, target)
        assembler = assembler_for(target, Settings.from_environment())
        return assembler.release(program, wheels, name or program.name, test)
