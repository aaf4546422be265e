"""The commands for robots: preflight, deploy, bundle, list, verify, rollback, remove, service, robot-sim."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Optional, TypeVar

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.deploy import deploying
from crosswheel.deploy import service as services
from crosswheel.deploy.bundles import write_program, write_wheel
from crosswheel.deploy.environment import Assembler, release_for
from crosswheel.deploy.fleet import Outcome, on_each, read_list
from crosswheel.deploy.image import image_for, robot_of
from crosswheel.deploy.preflight import clashes, cost
from crosswheel.deploy.release import Release
from crosswheel.deploy.simulation import ALIAS, running
from crosswheel.deploy.ssh import Address, Connection
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.process import Runner
from crosswheel.progress import show_error, table
from crosswheel.settings import Settings
from crosswheel.targets import Robot, Target
from crosswheel.toolchain.environment import toolchain_for
from crosswheel.uv import Uv

_TARGETS = Path("targets")
_RECIPES, _DIST = Path("packages"), Path("dist")
T = TypeVar("T")

RobotOption = Annotated[
    Optional[list[str]],
    typer.Option("--robot", help="A robot, as for ssh: a name or an address; may be given several times."),
]
RobotsOption = Annotated[Optional[Path], typer.Option("--robots", help="A file of robots, one on each line.")]
UserOption = Annotated[Optional[str], typer.Option("--user", help="The user to log in as.")]
PortOption = Annotated[Optional[int], typer.Option("--port", help="The port of its ssh server.")]
IdentityOption = Annotated[Optional[Path], typer.Option("--identity", help="The file of the private key.")]
ConfigOption = Annotated[
    Optional[Path], typer.Option("--ssh-config", help="An ssh configuration instead of your own.")
]
TargetOption = Annotated[str, typer.Option("--target", help="What the robots are: a name, or a TOML file.")]
RecipesOption = Annotated[Path, typer.Option("--recipes", help="The folder of recipes and locks.")]
DistOption = Annotated[Path, typer.Option("--dist-tree-root", help="Where the proven wheels are.")]
NameOption = Annotated[
    Optional[str],
    typer.Option("--name", help="What the environment is called; the program's name if not given."),
]
NameArgument = Annotated[str, typer.Argument(help="The name of an environment.")]
TestOption = Annotated[
    Optional[str],
    typer.Option("--test", help="A command of the program that has to succeed, such as 'prefect version'."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (deploy, bundle, verify, rollback, remove):
        app.command()(command)
    app.command("list")(list_)
    app.command()(preflight)
    # What comes after the program's name is the program's.
    app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(service)
    app.command("robot-sim")(robot_sim)


def deploy(
    requirement: Annotated[str, typer.Argument(help="What to install, such as prefect==3.3.4.")],
    robot: RobotOption = None,
    robots: RobotsOption = None,
    name: NameOption = None,
    test: TestOption = None,
    target: TargetOption = "ot2",
    recipes: RecipesOption = _RECIPES,
    dist_tree_root: DistOption = _DIST,
    user: UserOption = None,
    port: PortOption = None,
    identity: IdentityOption = None,
    ssh_config: ConfigOption = None,
) -> None:
    """Install or update a program on robots, isolated from what their images have."""
    console = Console()
    addresses = _addresses(robot, robots, user, port, identity, ssh_config)
    chosen = targets.load(target, _TARGETS)
    place = robot_of(chosen)
    release = _release(requirement, chosen, recipes, dist_tree_root, name, test)
    lock = threading.Lock()

    def work(address: Address) -> deploying.Deployed:
        def tell(text: str) -> None:
            with lock:
                console.print(f"{address.host}: {text}", markup=False, highlight=False)

        with Connection(address) as connection:
            return deploying.deploy(release, place, connection, tell)

    outcomes = on_each(addresses, work)
    columns = ("robot", "version", "files sent", "sent", "time", "result")
    _report(
        console,
        f"{release.name} {release.version}",
        columns,
        outcomes,
        lambda d: [d.version, str(d.files), f"{d.sent / 1e6:.1f} MB", f"{d.seconds:.1f} s", "active"],
    )


def bundle(
    requirement: Annotated[str, typer.Argument(help="What to bundle, such as prefect==3.3.4.")],
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", help="A file to carry to the robot: NAME.pyz.")
    ] = None,
    wheel: Annotated[
        bool, typer.Option("--wheel", help="Put a wheel for plain pip into the tree of wheels.")
    ] = False,
    name: NameOption = None,
    test: TestOption = None,
    target: TargetOption = "ot2",
    recipes: RecipesOption = _RECIPES,
    dist_tree_root: DistOption = _DIST,
) -> None:
    """Make one file of a program and all it needs: a program that installs itself, or a wheel for plain pip."""
    if not output and not wheel:
        raise UsageError(
            "nothing to make", hint="give a file with --output, or --wheel for a wheel that pip installs."
        )
    release = _release(requirement, targets.load(target, _TARGETS), recipes, dist_tree_root, name, test)
    console = Console()
    if output:
        write_program(release, output.absolute())
        _tell_file(console, output, f"on the robot: python3 {output.name} install")
    if wheel:
        made = write_wheel(release, dist_tree_root.absolute())
        _tell_file(console, made, "the index offers it after `crosswheel index`")


def _tell_file(console: Console, path: Path, what_next: str) -> None:
    size = path.stat().st_size / 1e6
    console.print(f"{path}: {size:.1f} MB; {what_next}", highlight=False, markup=False, soft_wrap=True)


def preflight(
    requirement: Annotated[str, typer.Argument(help="What would be installed, such as prefect==3.3.4.")],
    image: Annotated[
        Optional[str], typer.Option("--image", help="Ask the description of a robot: the name of a target.")
    ] = None,
    robot: Annotated[Optional[str], typer.Option("--robot", help="Ask a robot.")] = None,
    target: TargetOption = "ot2",
    recipes: RecipesOption = _RECIPES,
    dist_tree_root: DistOption = _DIST,
    user: UserOption = None,
    port: PortOption = None,
    identity: IdentityOption = None,
    ssh_config: ConfigOption = None,
) -> None:
    """Show what a plain installation would clash with, and what an isolated one takes; nothing is changed."""
    if (image is None) == (robot is None):
        raise UsageError("one of --image and --robot is needed", hint="such as --image ot2.")
    chosen = targets.load(image or target, _TARGETS)
    place = robot_of(chosen)
    release = _release(requirement, chosen, recipes, dist_tree_root, None, None)
    packages, to_send = chosen.image.packages, release.size
    if robot is not None:
        (address,) = _addresses([robot], None, user, port, identity, ssh_config)
        with Connection(address) as connection:
            packages, to_send = deploying.rehearse(release, place, connection)
    found = clashes(release, packages, place.server)
    rows = [[c.name, c.wanted, c.image, "yes" if c.server else "", c.consequence] for c in found]
    console, columns = Console(), ("package", "wanted", "image", "server", "with plain pip")
    table(console, f"{release.name} {release.version} and what {robot or chosen.title} has", columns, rows)
    differing = sum(1 for clash in found if clash.wanted != clash.image)
    console.print(
        f"{differing} of {len(release.closure)} packages are in the image at another version. `crosswheel deploy` "
        "puts the program into an environment of its own: nothing of the image is touched, shadowed or used.",
        highlight=False,
    )
    for sentence in cost(release, to_send):
        console.print(sentence, highlight=False)


def service(
    words: Annotated[
        Optional[list[str]],
        typer.Argument(help="The program and its arguments: prefect worker start --pool lab."),
    ] = None,
    name: Annotated[
        Optional[str],
        typer.Option("--name", help="What the service is called: crosswheel-PROGRAM if not given."),
    ] = None,
    environment: Annotated[
        Optional[list[str]],
        typer.Option("--env", help="A variable for it, NAME=VALUE; may be given several times."),
    ] = None,
    memory: Annotated[str, typer.Option("--memory", help="How much memory it may have.")] = "300M",
    remove: Annotated[
        Optional[str], typer.Option("--remove", help="Remove the service of this name.")
    ] = None,
    robot: RobotOption = None,
    robots: RobotsOption = None,
    target: TargetOption = "ot2",
    user: UserOption = None,
    port: PortOption = None,
    identity: IdentityOption = None,
    ssh_config: ConfigOption = None,
) -> None:
    """Run a program on robots as a service: at every boot, again after a failure, logging to the journal."""
    if (remove is None) != bool(words):
        raise UsageError(
            "no program is named" if remove is None else "--remove takes no program",
            hint="options come first: crosswheel service --robot HOST prefect worker start --pool lab.",
        )
    chosen = targets.load(target, _TARGETS)
    place = robot_of(chosen)
    addresses = _addresses(robot, robots, user, port, identity, ssh_config)
    if words:
        called = name or f"crosswheel-{words[0]}"
        wanted = services.Service(called, words, _variables(environment or ()), memory)

    def work(connection: Connection) -> str:
        if remove is not None:
            services.remove(remove, place, connection)
            return "removed"
        return services.install(wanted, chosen, place, connection)

    outcomes = _ask_each(addresses, target, work)
    _report(Console(), remove or called, ("robot", "state"), outcomes, lambda text: [text])


def _variables(given: Sequence[str]) -> dict[str, str]:
    variables = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"{text!r} is not NAME=VALUE", hint="such as --env PREFECT_API_URL=http://…/api."
            )
        variables[name] = value
    return variables


def list_(
    robot: RobotOption = None,
    robots: RobotsOption = None,
    target: TargetOption = "ot2",
    user: UserOption = None,
    port: PortOption = None,
    identity: IdentityOption = None,
    ssh_config: ConfigOption = None,
) -> None:
    """Show the environments on robots."""
    addresses = _addresses(robot, robots, user, port, identity, ssh_config)
    outcomes = _ask_each(addresses, target, lambda connection: connection.ask("list")["environments"])
    rows = [
        [
            outcome.robot,
            row["name"],
            row["version"],
            str(row["generation"]),
            "active" if row["active"] else "kept",
            f"{row['size'] / 1e6:.1f} MB",
            ", ".join(row["programs"]),
        ]
        for outcome in outcomes
        if not outcome.error
        for row in outcome.value
    ]
    columns = ("robot", "name", "version", "generation", "state", "size", "programs")
    if rows:
        table(Console(), "environments", columns, rows, right=("generation", "size"))
    _exit(outcomes)


def verify(
    name: NameArgument,
    robot: RobotOption = None,
    robots: RobotsOption = None,
    target: TargetOption = "ot2",
    user: UserOption = None,
    port: PortOption = None,
    identity: IdentityOption = None,
    ssh_config: ConfigOption = None,
) -> None:
    """Compare every file of an environment on robots with what was installed."""

    def work(connection: Connection) -> str:
        faults = connection.ask("verify", name=name)["faults"]
        if faults:
            raise IntegrityError(
                f"{name} on {connection.address.host} is not as it was installed:\n" + "\n".join(faults),
                hint="`crosswheel remove` it and deploy it again.",
            )
        return "every file is as it was installed"

    addresses = _addresses(robot, robots, user, port, identity, ssh_config)
    _report(Console(), name, ("robot", "result"), _ask_each(addresses, target, work), lambda text: [text])


def rollback(
    name: NameArgument,
    robot: RobotOption = None,
    robots: RobotsOption = None,
    target: TargetOption = "ot2",
    user: UserOption = None,
    port: PortOption = None,
    identity: IdentityOption = None,
    ssh_config: ConfigOption = None,
) -> None:
    """Go back to the version before, on robots."""

    def work(connection: Connection) -> str:
        connection.ask("hold")
        return f"{connection.ask('rollback', name=name)['version']} is active"

    addresses = _addresses(robot, robots, user, port, identity, ssh_config)
    _report(Console(), name, ("robot", "result"), _ask_each(addresses, target, work), lambda text: [text])


def remove(
    name: NameArgument,
    robot: RobotOption = None,
    robots: RobotsOption = None,
    target: TargetOption = "ot2",
    user: UserOption = None,
    port: PortOption = None,
    identity: IdentityOption = None,
    ssh_config: ConfigOption = None,
) -> None:
    """Remove an environment from robots, with all its versions."""

    def work(connection: Connection) -> str:
        connection.ask("hold")
        connection.ask("remove", name=name)
        return "removed"

    addresses = _addresses(robot, robots, user, port, identity, ssh_config)
    _report(Console(), name, ("robot", "result"), _ask_each(addresses, target, work), lambda text: [text])


def robot_sim(
    target: TargetOption = "ot2",
    port: Annotated[int, typer.Option("--port", help="The port of its ssh server; any if 0.")] = 2222,
    var_size: Annotated[str, typer.Option("--var-size", help="How large its /var is.")] = "1g",
    folder: Annotated[
        Optional[Path], typer.Option("--folder", help="Where its key and ssh configuration go.")
    ] = None,
) -> None:
    """Run a look-alike robot on this machine, to try without one; Ctrl-C ends it, and nothing is kept."""
    console, settings = Console(), Settings.from_environment()
    chosen = targets.load(target, _TARGETS)
    with contextlib.ExitStack() as stack:
        place = folder.absolute() if folder else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = Runner(log=settings.cache / "robots" / "log.txt")
        image = image_for(chosen, settings, runner)
        running_robot = stack.enter_context(running(image, place, runner, port=port, var_size=var_size))
        config = running_robot.ssh_config
        console.print(f"The look-alike {chosen.title} runs. In another terminal:", highlight=False)
        console.print(f"  ssh -F {config} {ALIAS}", highlight=False, soft_wrap=True)
        console.print(
            f"  crosswheel deploy prefect==3.3.4 --ssh-config {config} --robot {ALIAS}",
            highlight=False,
            soft_wrap=True,
        )
        for package, state in image.hollow.items():
            console.print(f"  unlike on the robot, {package} is {state}", highlight=False)
        threading.Event().wait()


def _addresses(
    robots: Optional[Sequence[str]],
    file: Optional[Path],
    user: Optional[str],
    port: Optional[int],
    identity: Optional[Path],
    config: Optional[Path],
) -> list[Address]:
    names = list(dict.fromkeys([*(robots or ()), *(read_list(file) if file else ())]))
    if not names:
        raise UsageError("no robot is named", hint="name one with --robot, or a file of them with --robots.")
    for name in names:
        if name.startswith("-"):
            raise UsageError(f"{name!r} is not the name of a robot", hint="write it as for ssh.")
    return [Address(name, user, port, identity, config) for name in names]


def _ask_each(addresses: Sequence[Address], target: str, work: Callable[[Connection], T]) -> list[Outcome[T]]:
    place = robot_of(targets.load(target, _TARGETS))

    def asked(address: Address) -> T:
        with Connection(address) as connection:
            _open(connection, place)
            return work(connection)

    return on_each(addresses, asked)


def _open(connection: Connection, place: Robot) -> None:
    connection.ask("open", store=place.store, programs=place.programs)


def _release(
    requirement: str, target: Target, recipes: Path, dist: Path, name: Optional[str], test: Optional[str]
) -> Release:
    assembler = assembler_for(target)
    return release_for(
        requirement, recipes=recipes, dist=dist.absolute(), assembler=assembler, name=name, test=test
    )


def assembler_for(target: Target) -> Assembler:
    """Return what installs wheels for a target on this machine, with the user's settings."""
    settings = Settings.from_environment()
    runner = Runner(log=settings.cache / "installed" / "log.txt")
    return Assembler(toolchain_for(target, settings), Uv(settings, runner), runner)


def _report(
    console: Console,
    title: str,
    columns: Sequence[str],
    outcomes: Sequence[Outcome[T]],
    cells: Callable[[T], Sequence[str]],
) -> None:
    """Print a row for each robot, then the errors; one that failed decides the exit code."""
    rows = []
    for outcome in outcomes:
        given = [""] * (len(columns) - 2) + ["failed"] if outcome.error else cells(outcome.value)
        rows.append([outcome.robot, *given])
    if len(outcomes) > 1 or not outcomes[0].error:
        table(console, title, columns, rows, right=("files sent", "sent", "time"))
    _exit(outcomes)


def _exit(outcomes: Sequence[Outcome[T]]) -> None:
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if len(outcomes) == 1 and errors:
        raise errors[0]
    for error in errors:
        show_error(Console(stderr=True), error)
    if errors:
        raise typer.Exit(1)
