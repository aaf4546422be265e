"""A program of an environment as a service of the robot: started at boot, restarted, kept from harming its server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crosswheel.deploy.ssh import Connection
from crosswheel.errors import TargetError, UsageError
from crosswheel.targets import Robot, Target

# run-parts of busybox passes over names with a dot.
_BOOT_SCRIPT_NAME = "crosswheel"
# The image is read-only, and what is changed in it is gone with the next update of the robot. Its own hook for boot
# scripts and systemd's folder for units that live until the next boot are enough.
_BOOT_SCRIPT = """#!/bin/sh
# Starts the services that crosswheel put on this robot. Written by `crosswheel service`.
for unit in {services}/*.service; do
    [ -e "$unit" ] || continue
    systemctl link --runtime "$unit" && systemctl start --no-block "${{unit##*/}}"
done
"""
_UNIT = """[Unit]
Description={description}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
WorkingDirectory={store}
{environment}Restart=on-failure
RestartSec=10
StandardOutput=journal
StandardError=journal
# The robot's server comes first: this one has little memory, and is the first to go where memory runs out (also where
# the kernel was started without the memory controller, and the limit does not hold).
MemoryMax={memory}
OOMScoreAdjust=900
Nice=10
IOSchedulingClass=idle
"""


@dataclass(frozen=True)
class Service:
    """A service.

    Attributes:
        name: of the unit, without ``.service``.
        words: the program, as on the robot's ``PATH``, and its arguments.
        environment: variables that it gets.
        memory: how much it may have, as systemd writes it.
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    memory: str = "300M"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name):
            raise UsageError(
                f"{self.name!r} is no name for a service", hint="use letters, digits, dots and hyphens."
            )
        if not re.fullmatch(r"[0-9]+[KMG]?", self.memory):
            raise UsageError(
                f"{self.memory!r} is no amount of memory", hint="write it like 300M, as systemd does."
            )

    def unit(self, robot: Robot) -> str:
        """Return the unit file (systemd.service(5))."""
        program, *arguments = self.words
        command = " ".join(_quoted(word) for word in (f"{robot.programs}/{program}", *arguments))
        variables = {"HOME": "/root", **self.environment}
        return _UNIT.format(
            description=_escaped(" ".join(self.words)),
            command=command,
            store=robot.store,
            environment="".join(
                f"Environment={_quoted(f'{name}={value}', expands=False)}\n"
                for name, value in variables.items()
            ),
            memory=self.memory,
        )


def install(service: Service, target: Target, robot: Robot, connection: Connection) -> str:
    """Put a service on a robot and start it; return what systemd says of it.

    Raises:
        UsageError: the robot has no such program.
        TargetError: the robot has no systemd, or no hook for boot scripts.
    """
    boot = _boot_script(robot, target)
    programs = {program for row in connection.ask("list")["environments"] for program in row["programs"]}
    if service.words[0] not in programs:
        raise UsageError(
            f"{connection.address.host} has no program {service.words[0]!r} that crosswheel put there",
            hint=f"it has: {', '.join(sorted(programs)) or 'none'}; `crosswheel deploy` comes first.",
        )
    _require_systemd(connection)
    connection.ask("write", path=_unit_path(service.name, robot), text=service.unit(robot), executable=False)
    script = _BOOT_SCRIPT.format(services=f"{robot.store}/services")
    connection.ask("write", path=boot, text=script, executable=True)
    unit = f"{service.name}.service"
    connection.ask("run", words=["systemctl", "link", "--runtime", _unit_path(service.name, robot)])
    connection.ask("run", words=["systemctl", "daemon-reload"])
    connection.ask("run", words=["systemctl", "restart", "--no-block", unit])
    state = connection.ask("run", words=["systemctl", "is-active", unit])
    return str(state["output"]).strip()


def restart(names: Sequence[str], connection: Connection) -> None:
    """Have services that run go on with the version that is active now."""
    if names:
        units = [f"{name}.service" for name in names]
        connection.ask("run", words=["systemctl", "try-restart", "--no-block", *units])


def remove(name: str, robot: Robot, connection: Connection) -> None:
    """Stop a service and remove it from a robot.

    Raises:
        TargetError: the robot has no systemd.
    """
    _require_systemd(connection)
    unit = f"{name}.service"
    connection.ask("run", words=["systemctl", "disable", "--runtime", "--now", unit])
    connection.ask("delete", path=_unit_path(name, robot))
    connection.ask("run", words=["systemctl", "daemon-reload"])


def _unit_path(name: str, robot: Robot) -> str:
    return f"{robot.store}/services/{name}.service"


def _boot_script(robot: Robot, target: Target) -> str:
    if robot.boot is None:
        raise TargetError(
            f"target {target.name} has no folder of boot scripts",
            hint="name one as `boot` in the [robot] table of its file.",
        )
    return f"{robot.boot}/{_BOOT_SCRIPT_NAME}"


def _require_systemd(connection: Connection) -> None:
    found = connection.ask("run", words=["sh", "-c", "command -v systemctl"])
    if found["returncode"] != 0:
        raise TargetError(
            f"{connection.address.host} has no systemd, so it has no services",
            hint="a look-alike robot has none; start the program yourself over ssh.",
        )


def _escaped(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")


def _quoted(word: str, *, expands: bool = True) -> str:
    """Return a word so that systemd takes it as it is; ``expands`` where it would put in variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    if expands:
        escaped = escaped.replace("$", "$$")
    return escaped if re.fullmatch(r"[A-Za-z0-9_/.:=@+,%$-]+", escaped) else f'"{escaped}"'
