"""Runs a program of an environment as a service: started at boot, restarted, and kept from harming the server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crosswheel.deploy.ssh import Connection
from crosswheel.errors import CheckFailed, TargetError, UsageError
from crosswheel.targets import Robot, Target

# busybox's run-parts skips names with a dot.
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
_WATCHED_SECONDS = 6  # long enough to see a service that fails at once
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_UNSEEN = ("PYTHONPATH", "PYTHONHOME")
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
        name: the name of the unit, without ``.service``.
        words: the program, as on the robot's ``PATH``, and its arguments.
        environment: its environment variables.
        memory: its limit of memory, as systemd writes it.
        secrets: its environment variables from a file that only root can read.
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    memory: str = "300M"
    secrets: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name):
            raise UsageError(
                f"{self.name!r} is no name for a service", hint="use letters, digits, dots and hyphens."
            )
        if not re.fullmatch(r"[0-9]+[KMG]?", self.memory):
            raise UsageError(
                f"{self.memory!r} is no amount of memory", hint="write it like 300M, as systemd does."
            )
        unseen = [name for name in _UNSEEN if name in self.environment or name in self.secrets]
        if unseen:
            raise UsageError(
                f"{unseen[0]} cannot be given to a service: what runs in an environment never sees it",
                hint="it would bring in packages that are not of the environment; put what is needed into the "
                "program's own package, or have a script add to sys.path.",
            )

    @property
    def unit_name(self) -> str:
        """Its name for systemd."""
        return f"{self.name}.service"

    def unit(self, robot: Robot, environment: str) -> str:
        """Return the unit file (systemd.service(5)).

        Args:
            environment: the name of the environment that the program is in.
        """
        program, *arguments = self.words
        command = " ".join(_quoted(word) for word in (f"{robot.programs}/{program}", *arguments))
        # As in an activated virtual environment, its own programs come first.
        programs = f"{robot.store}/environments/{environment}/current/bin"
        path = f"{robot.programs}:{programs}:{_SYSTEM_PATH}"
        variables = {"HOME": "/root", "PATH": path, **self.environment}
        secrets = f"EnvironmentFile={_secrets_path(self.name, robot)}\n" if self.secrets else ""
        return _UNIT.format(
            description=_escaped(" ".join(self.words)),
            command=command,
            store=robot.store,
            environment="".join(
                f"Environment={_quoted(f'{name}={value}', expands=False)}\n"
                for name, value in variables.items()
            )
            + secrets,
            memory=self.memory,
        )


def install(service: Service, target: Target, robot: Robot, connection: Connection) -> str:
    """Put a service on a robot and start it; return systemd's status of it after some seconds.

    Raises:
        UsageError: the robot has no such program.
        TargetError: the robot has no systemd, or no hook for boot scripts.
        CheckFailed: it fails at once; the message has the end of its log.
    """
    boot = _boot_script(robot, target)
    rows = connection.ask("list")["environments"]
    owners = {program: row["name"] for row in rows for program in row["programs"] if row["active"]}
    if service.words[0] not in owners:
        raise UsageError(
            f"{connection.address.host} has no program {service.words[0]!r} that crosswheel put there",
            hint=f"it has: {', '.join(sorted(owners)) or 'none'}; `crosswheel deploy` comes first.",
        )
    _require_systemd(connection)
    path, secrets = _unit_path(service.name, robot), _secrets_path(service.name, robot)
    if service.secrets:
        text = "".join(f"{name}={_escaped_secret(value)}\n" for name, value in service.secrets.items())
        connection.ask("write", path=secrets, text=text, mode=0o600)
    else:
        connection.ask("delete", path=secrets)
    connection.ask("write", path=path, text=service.unit(robot, owners[service.words[0]]))
    script = _BOOT_SCRIPT.format(services=f"{robot.store}/services")
    connection.ask("write", path=boot, text=script, mode=0o755)
    connection.ask("run", words=["systemctl", "link", "--runtime", path])
    connection.ask("run", words=["systemctl", "daemon-reload"])
    restarts = _unit_state(service.unit_name, connection)["NRestarts"]
    connection.ask("run", words=["systemctl", "restart", "--no-block", service.unit_name])
    return _watched(service.name, restarts, connection)


def restart(names: Sequence[str], connection: Connection) -> list[str]:
    """Restart running services with the active version; return the errors of those that fail at once."""
    restarts = {name: _unit_state(f"{name}.service", connection)["NRestarts"] for name in names}
    if names:
        units = [f"{name}.service" for name in names]
        connection.ask("run", words=["systemctl", "try-restart", "--no-block", *units])
    faults = []
    for name in names:
        try:
            _watched(name, restarts[name], connection)
        except CheckFailed as error:
            faults.append(str(error))
    return faults


def _watched(name: str, restarts: str, connection: Connection) -> str:
    """Return systemd's status of a service that was just started, after some seconds.

    Args:
        restarts: systemd's count of its restarts before this start.
    """
    unit, began = f"{name}.service", time.monotonic()
    while True:
        state = _unit_state(unit, connection)
        pending = state["Job"] not in ("", "0")
        if not pending and (state["Result"] != "success" or state["NRestarts"] != restarts):
            log = connection.ask(
                "run", words=["journalctl", "-u", unit, "-n", "20", "--no-pager", "-o", "cat"]
            )
            raise CheckFailed(
                f"the service {name} on {connection.address.host} ends at once ({state['Result']}, exit code "
                f"{state['ExecMainStatus']}):\n{str(log['output']).strip()}",
                hint=f"systemd tries it again and again: mend what its log shows, or "
                f"`crosswheel service --remove {name}`.",
            )
        if time.monotonic() - began > _WATCHED_SECONDS:
            return state["ActiveState"]
        time.sleep(0.5)


def _unit_state(unit: str, connection: Connection) -> dict[str, str]:
    names = ("ActiveState", "Job", "Result", "NRestarts", "ExecMainStatus")
    answer = connection.ask("run", words=["systemctl", "show", unit, f"--property={','.join(names)}"])
    pairs = (line.partition("=") for line in str(answer["output"]).splitlines())
    return {**dict.fromkeys(names, ""), **{name: value for name, _, value in pairs}}


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables in a file, ``NAME=VALUE`` on each line; lines that begin with ``#`` are comments.

    Raises:
        UsageError: the file cannot be read, or a line has another form.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="check --env-file.") from error
    return _variables(
        (f"line {number} of {path}", line)  # a message must not quote it, as it may be a secret
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    )


def variables_of(texts: Iterable[str]) -> dict[str, str]:
    """Parse variables of the form ``NAME=VALUE``; raise :class:`UsageError` for any other form."""
    return _variables((repr(text), text) for text in texts)


def _variables(texts: Iterable[tuple[str, str]]) -> dict[str, str]:
    variables = {}
    for label, text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"{label} is not NAME=VALUE",
                hint="write it like PREFECT_API_URL=http://192.168.1.20:4200/api.",
            )
        variables[name] = value
    return variables


def remove(name: str, robot: Robot, connection: Connection) -> None:
    """Stop a service and remove it from a robot.

    Raises:
        TargetError: the robot has no systemd.
    """
    _require_systemd(connection)
    unit = f"{name}.service"
    connection.ask("run", words=["systemctl", "disable", "--runtime", "--now", unit])
    connection.ask("delete", path=_unit_path(name, robot))
    connection.ask("delete", path=_secrets_path(name, robot))
    connection.ask("run", words=["systemctl", "daemon-reload"])


def _unit_path(name: str, robot: Robot) -> str:
    return f"{robot.store}/services/{name}.service"


def _secrets_path(name: str, robot: Robot) -> str:
    return f"{robot.store}/services/{name}.env"


def _escaped_secret(value: str) -> str:
    """Return the value of a variable, escaped for an EnvironmentFile= (systemd.exec(5))."""
    return '"' + re.sub(r'([\\"`$])', r"\\\1", value) + '"'


def _boot_script(robot: Robot, target: Target) -> str:
    if robot.boot is None:
        raise TargetError(
            f"target {target.name} has no folder of boot scripts",
            hint="name one as `boot` in the [robot] table of its file.",
        )
    return f"{robot.boot}/{_BOOT_SCRIPT_NAME}"


def _require_systemd(connection: Connection) -> None:
    answer = connection.ask("run", words=["sh", "-c", "command -v systemctl"])
    if answer["returncode"] != 0:
        raise TargetError(
            f"{connection.address.host} has no systemd, so it has no services",
            hint="a look-alike robot has none; start the program yourself over ssh.",
        )


def _escaped(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")


def _quoted(word: str, *, expands: bool = True) -> str:
    """Return a word quoted for systemd; ``expands`` tells that systemd would replace variables in it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    if expands:
        escaped = escaped.replace("$", "$$")
    return escaped if re.fullmatch(r"[A-Za-z0-9_/.:=@+,%$-]+", escaped) else f'"{escaped}"'
