"""Defines the commands for robots: deploy, list, verify, rollback, remove, preflight and service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.agent.manifest import is_name
from crosswheel.cli.common_options import AsOfOption, GroupOption, SandboxOption, UpgradeOption
from crosswheel.cli.idle_options import given_login, refuse_idle
from crosswheel.cli.keys import key_folder, warn_of_unsigned
from crosswheel.cli.robot_options import Fleet, Login, NameOption, TargetOption, TestOption, Wheels, connected
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import TARGETS
from crosswheel.deploy import deploying
from crosswheel.deploy import service as services
from crosswheel.deploy.fleet import RobotResult, on_each
from crosswheel.deploy.preflight import clashes, cost
from crosswheel.deploy.signing import signed_offer
from crosswheel.deploy.ssh import Address, Connection
from crosswheel.errors import IntegrityError, Interrupted, UsageError
from crosswheel.progress import Transfers, show_error, table
from crosswheel.progress.wording import duration, size
from crosswheel.projects.addresses import is_project

if TYPE_CHECKING:
    from crosswheel.deploy.release import Release

T = TypeVar("T")

# The exit code if a robot failed, for any reason. Errors that concern all robots exit with 2 before the first is asked.
ROBOT_FAILED = 1

_SHOWN_CLASHES = 3  # preflight shows all

NameArgument = Annotated[str, typer.Argument(help="The name of an environment.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (deploy, verify, rollback, remove):
        app.command()(spread(command))
    app.command("list")(spread(list_))
    app.command()(spread(preflight))
    # Options after the program's name belong to the program.
    settings = {"ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command(context_settings=settings)(spread(service))


def deploy(
    requirement: Annotated[
        str,
        typer.Argument(
            help="The program to install: a release that was built, such as prefect==3.3.4, or a project of yours, "
            "such as ./mylib, which is built first."
        ),
    ],
    fleet: Fleet,
    wheels: Wheels,
    login: Login,
    name: NameOption = None,
    test: TestOption = None,
    as_of: AsOfOption = None,
    group: GroupOption = None,
    upgrade: UpgradeOption = False,
    sandbox: SandboxOption = None,
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="The number of earlier versions to keep, for a rollback.")
    ] = 1,
) -> None:
    """Install or update a program on robots, isolated from what their images have."""
    of_project = {"--as-of": as_of, "--group": group, "--upgrade": upgrade}
    refuse_idle(of_project, "without a project of yours", idle=not is_project(requirement))
    chosen, keys = fleet.kind, key_folder()
    keys.signing_key()  # fails before any robot is reached if the key cannot be used
    robot, addresses = targets.robot_of(chosen), list(map(login.to, fleet.names))
    put_together: Callable[[], Release] = partial(wheels.release, requirement, chosen, name=name, test=test)
    if is_project(requirement):
        from crosswheel.cli.projects import ProjectBuild, built_release  # only projects need it

        how = ProjectBuild(as_of, tuple(group or ()), upgrade, sandbox)
        built = built_release(requirement, chosen, chosen.name, wheels, how, name=name, test=test)
        put_together = lambda: built  # noqa: E731
    # Assemble while the connections are being made.
    with ThreadPoolExecutor(1) as pool, Transfers(Console()) as transfers:
        release = pool.submit(put_together)
        offer = pool.submit(lambda: signed_offer(release.result(), keys))

        def work(address: Address) -> deploying.Deployed:
            tell, sent = partial(transfers.say, address.host), partial(transfers.sent, address.host)
            with connected(address, chosen) as connection:
                return deploying.deploy(
                    release.result(), robot, connection, tell, sent, keep=keep, offer=offer.result()
                )

        outcomes = on_each(addresses, work)
    assembled = release.result()  # an error in it concerns all robots, and is raised once
    _tell_clashes(assembled, outcomes)
    warn_of_unsigned(offer.result())
    for outcome in outcomes:
        if not outcome.error:
            _warn(outcome.robot, outcome.value.warnings)
    _report(
        f"{assembled.name} {assembled.version}",
        ("robot", "version", "files sent", "sent", "time", "result"),
        outcomes,
        lambda d: [d.version, str(d.files), size(d.sent), duration(d.seconds), _state(d)],
    )


def _warn(robot: str, warnings: Sequence[str]) -> None:
    for text in warnings:
        Console(stderr=True).print(f"warning: {robot}: {text}", highlight=False, markup=False, soft_wrap=True)


def _state(deployed: deploying.Deployed) -> str:
    restarted = f", restarted {', '.join(deployed.services)}" if deployed.services else ""
    pinned = f", takes only what {deployed.pinned[:16]} signs from now on" if deployed.pinned else ""
    return f"active{restarted}{pinned}"


def _tell_clashes(release: Release, outcomes: Sequence[RobotResult[deploying.Deployed]]) -> None:
    """Print which packages the images have in other versions; once for all robots with the same ones."""
    robots: dict[tuple[str, ...], list[str]] = {}
    for outcome in outcomes:
        if not outcome.error:
            differing = tuple(
                f"{clash.name} {clash.image}" for clash in outcome.value.clashes if clash.differs
            )
            robots.setdefault(differing, []).append(outcome.robot)
    for differing, names in robots.items():
        if differing:
            some = ", ".join(differing[:_SHOWN_CLASHES]) + (" and more" if differing[_SHOWN_CLASHES:] else "")
            text = (
                f"Of its {len(release.closure)} packages, the image of {', '.join(names)} has {len(differing)} at "
                f"other versions ({some}), which stay as they are."
            )
            Console().print(text, highlight=False, markup=False, soft_wrap=True)


def preflight(
    requirement: Annotated[
        str, typer.Argument(help="The program that would be installed, such as prefect==3.3.4.")
    ],
    wheels: Wheels,
    login: Login,
    image: Annotated[
        str | None,
        typer.Option(
            "--image", help="Compare with the image in a target's description: the name of the target."
        ),
    ] = None,
    robot: Annotated[
        str | None, typer.Option("--robot", help="Compare with the image of this robot.")
    ] = None,
    target: TargetOption = "ot2",
) -> None:
    """Show what a plain installation would clash with, and what an isolated one takes; nothing is changed."""
    if (image is None) == (robot is None):
        raise UsageError("one of --image and --robot is needed", hint="such as --image ot2.")
    refuse_idle(given_login(login), "without --robot", idle=robot is None)
    chosen = targets.load(image or target, TARGETS)
    robot_spec, release = targets.robot_of(chosen), wheels.release(requirement, chosen)
    packages, to_send = chosen.image.packages, release.size
    if robot is not None:

        def work(address: Address) -> deploying.Rehearsed:
            with connected(address, chosen) as connection:
                return deploying.rehearse(release, robot_spec, connection)

        outcomes = on_each([login.to(robot)], work)
        _exit(outcomes)
        found = outcomes[0].value
        packages, to_send = found.image, found.size
        _warn(robot, found.warnings)
    collisions = clashes(release.versions, packages, robot_spec.server)
    rows = [[c.name, c.needed, c.image, "yes" if c.server else "", c.consequence] for c in collisions]
    console, columns = Console(), ("package", "wanted", "image", "server", "with plain pip")
    table(console, f"{release.name} {release.version} and what {robot or chosen.title} has", columns, rows)
    differing = sum(clash.differs for clash in collisions)
    console.print(
        f"{differing} of {len(release.closure)} packages are in the image at another version. `crosswheel deploy` "
        "puts the program into an environment of its own: nothing of the image is touched, shadowed or used.",
        highlight=False,
    )
    for sentence in cost(release, to_send):
        console.print(sentence, highlight=False)


def service(
    fleet: Fleet,
    login: Login,
    words: Annotated[
        list[str] | None,
        typer.Argument(help="The program and its arguments: prefect worker start --pool lab."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The name of the service; by default, crosswheel-PROGRAM.")
    ] = None,
    environment: Annotated[
        list[str] | None,
        typer.Option(
            "--env", help="An environment variable of the service, NAME=VALUE; may be given several times."
        ),
    ] = None,
    environment_file: Annotated[
        Path | None,
        typer.Option(
            "--env-file", help="A file of environment variables; on the robot, only root can read it."
        ),
    ] = None,
    memory: Annotated[str, typer.Option("--memory", help="The memory limit of the service.")] = "300M",
    remove: Annotated[str | None, typer.Option("--remove", help="Remove the service of this name.")] = None,
) -> None:
    """Run a program on robots as a service: at every boot, again after a failure, logging to the journal."""
    if (remove is None) != bool(words):
        raise UsageError(
            "no program is named" if remove is None else "--remove takes no program",
            hint="options come first: crosswheel service --robot HOST prefect worker start --pool lab.",
        )
    of_program = {"--name": name, "--env": environment, "--env-file": environment_file}
    refuse_idle(of_program, "with --remove, which takes no program", idle=remove is not None)
    chosen = fleet.kind
    robot = targets.robot_of(chosen)
    if words:
        called = name or f"crosswheel-{words[0]}"
        unit = services.Service(
            called,
            words,
            services.variables_of(environment or ()),
            memory,
            services.read_variables(environment_file) if environment_file else {},
        )

    def work(connection: Connection) -> str:
        if remove is not None:
            services.remove(remove, robot, connection)
            return "removed"
        return services.install(unit, chosen, robot, connection)

    _report(remove or called, ("robot", "state"), fleet.ask(login, work), lambda text: [text])


def list_(fleet: Fleet, login: Login) -> None:
    """Show the environments on robots."""
    outcomes = fleet.ask(login, lambda connection: connection.ask("list")["environments"])
    rows = [
        [
            outcome.robot,
            row["name"],
            row["version"],
            str(row["generation"]),
            ("active" if row["active"] else "kept") + (", damaged" if row["damaged"] else ""),
            size(row["size"]),
            ", ".join(row["programs"]),
        ]
        for outcome in outcomes
        if not outcome.error
        for row in outcome.value
    ]
    columns = ("robot", "name", "version", "generation", "state", "size", "programs")
    if rows:
        table(Console(), "environments", columns, rows, right=("generation", "size"))
    for robot in [outcome.robot for outcome in outcomes if not outcome.error and not outcome.value]:
        Console().print(f"{robot} has no environment yet", highlight=False, markup=False)
    _exit(outcomes)


def verify(name: NameArgument, fleet: Fleet, login: Login) -> None:
    """Compare every file of an environment on robots with what was installed."""
    _require_name(name)

    def work(connection: Connection) -> str:
        faults = connection.ask("verify", name=name)["faults"]
        if faults:
            raise IntegrityError(
                f"{name} on {connection.address.host} is not as it was installed:\n" + "\n".join(faults),
                hint="deploy it again: what is damaged is replaced, and what the program itself changes there is "
                "from then on its own, and no other environment's.",
            )
        return "every file is as it was installed"

    _report(name, ("robot", "result"), fleet.ask(login, work), lambda text: [text])


def rollback(name: NameArgument, fleet: Fleet, login: Login) -> None:
    """Go back to the version before, on robots."""
    _require_name(name)

    def work(connection: Connection) -> str:
        connection.ask("hold")
        active = connection.ask("rollback", name=name)
        faults = services.restart(active["services"], connection)
        restarted = f"; restarted {', '.join(active['services'])}" if active["services"] else ""
        return "\n".join((f"{active['version']} is active{restarted}", *faults))

    _report(name, ("robot", "result"), fleet.ask(login, work), lambda text: [text])


def remove(name: NameArgument, fleet: Fleet, login: Login) -> None:
    """Remove an environment from robots, with all its versions."""
    _require_name(name)

    def work(connection: Connection) -> str:
        connection.ask("hold")
        connection.ask("remove", name=name)
        return "removed"

    _report(name, ("robot", "result"), fleet.ask(login, work), lambda text: [text])


def _require_name(name: str) -> None:
    """Raise :class:`UsageError`, before any robot is asked, if no environment can have this name."""
    if not is_name(name):
        raise UsageError(
            f"{name!r} is not a valid name of an environment",
            hint="`crosswheel list` shows those that a robot has.",
        )


def _report(
    title: str,
    columns: Sequence[str],
    outcomes: Sequence[RobotResult[T]],
    cells: Callable[[T], Sequence[str]],
) -> None:
    """Print a row for each robot, then the errors."""
    rows = []
    for outcome in outcomes:
        values = [""] * (len(columns) - 2) + ["failed"] if outcome.error else cells(outcome.value)
        rows.append([outcome.robot, *values])
    table(Console(), title, columns, rows, right=("files sent", "sent", "time"))
    _exit(outcomes)


def _exit(outcomes: Sequence[RobotResult[T]]) -> None:
    """Show the errors of robots and exit with their code, if there are any."""
    errors = [outcome.error for outcome in outcomes if outcome.error]
    for error in errors:
        show_error(Console(stderr=True), error)
    if errors:
        stopped = any(isinstance(error, Interrupted) for error in errors)
        raise typer.Exit(Interrupted.exit_code if stopped else ROBOT_FAILED)
