"""Learn a running machine over ssh."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping

from crosswheel.deploy.ssh import Address
from crosswheel.errors import NetworkError
from crosswheel.learning.description import Known, Learned
from crosswheel.learning.facts import LibraryFacts, library_facts
from crosswheel.learning.learn import Named, require_python, robot_guess, suite_of, system_of, today
from crosswheel.learning.python_facts import PythonFacts
from crosswheel.learning.robot import Answers, AskedMachine, Mount
from crosswheel.learning.selection import Selection, select, take
from crosswheel.learning.source import Listed
from crosswheel.settings import Settings
from crosswheel.targets import Robot
from crosswheel.userlands import Userland, UserlandStore

# The files that reveal the C library, the CPU architecture and the image.
_TELLING = re.compile(
    r"/(ld-[^/]*|ld\.so\.cache|lib(c|stdc\+\+|gcc_s)[.-][^/]*so[^/]*|pip\.conf|os-release|python3(\.\d+)?)$"
)
_NUMBERED = re.compile(r".*/(lib[^/]+\.so\.\d+)$")
_TRIES = 5  # in a row, without a single new file
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "devtmpfs", "proc", "sysfs", "devpts", "overlay", "squashfs")


def learn_robot(
    named: Named,
    address: Address,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    facts_only: bool = False,
) -> Learned:
    """Learn a machine by querying it; resume after a lost connection.

    Args:
        facts_only: do not keep its userland.
        tell: receives progress messages.

    Raises:
        NetworkError: it cannot be reached.
        TargetError: crosswheel cannot build for such a machine, such as one without Python.
        IntegrityError: its files changed meanwhile.
    """
    store = UserlandStore(settings.cache)
    answers, python, userland, selection, listing = _taken(address, named, store, tell, facts_only)
    tell("reading its libraries")
    names = sorted({m[1] for m in map(_NUMBERED.match, listing) if m}) if facts_only else ()
    libraries = library_facts(userland, selection, address.host, names)
    page = answers.page_bytes or (python.page_bytes if python else 0)
    return Learned(
        name=named.name,
        title=named.title or system_of(userland) or named.name,
        system=system_of(userland),
        suite=suite_of(userland),
        libraries=libraries,
        machine=Known(_machine(answers.line("uname", 1), libraries)),
        python=python,
        provided=named.provided,
        kernel=Known(answers.line("uname", 2)),
        page_bytes=Known(page) if page else Known(4096, "a guess: it has no getconf"),
        robot=_keeping(answers, robot_guess(userland, selection.python)),
        python_path=selection.python or "",
        userland="" if facts_only else userland.digest,
        live=True,
        day=today(),
        remarks=tuple(_remarks(answers)),
    )


def _taken(
    address: Address, named: Named, store: UserlandStore, tell: Callable[[str], None], facts_only: bool
) -> tuple[Answers, PythonFacts | None, Userland, Selection, Mapping[str, Listed]]:
    gained, fruitless = False, 0
    while True:
        before = store.count()
        try:
            with AskedMachine(address, whole=not facts_only) as robot:
                tell(f"asking {address.host}")
                answers, listing = robot.answers, robot.listing()
                require_python(select(listing, address.host).python, named, address.host)
                python = None if named.provided else robot.python
                userland, selection = take(robot, store, tell, _tells if facts_only else lambda path: True)
                return answers, python, userland, selection, listing
        except NetworkError:
            fruitless = 0 if store.count() > before else fruitless + 1
            gained = gained or not fruitless
            if not gained or fruitless > _TRIES:
                raise
            tell(f"the line to {address.host} dropped; going on with what is missing")


def _tells(path: str) -> bool:
    return bool(_TELLING.search(path))


def _machine(kernels: str, libraries: LibraryFacts) -> str:
    """Return the machine that programs are for, if only the kernel is one of more bits."""
    is_wider = libraries.kind.elf.bits == 32 and kernels in ("aarch64", "x86_64")
    return libraries.kind.names.machine if is_wider else kernels


def _keeping(answers: Answers, guess: Robot) -> Robot:
    """Return where programs may be kept: as pip is configured, or where the machine is writable."""
    if guess.bundle or _mount_of("/opt", answers.mounts).writable:
        return guess
    lasting = [m for m in answers.mounts if m.writable and m.kind not in _MEMORY_FILE_SYSTEMS]
    largest = max(lasting, key=lambda mount: mount.free_bytes, default=None)
    if largest is None or not re.fullmatch(r"/[A-Za-z0-9._/-]+", largest.path):
        return guess
    on_path = (
        folder
        for folder in answers.line("login").split(":")
        if _mount_of(folder, answers.mounts) in lasting and re.fullmatch(r"/[A-Za-z0-9._/-]+", folder)
    )
    store = posixpath.join(largest.path, "crosswheel")
    return guess.model_copy(update={"store": store, "programs": next(on_path, f"{store}-bin")})


def _mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount:
    """Return the file system of a path; of two mounted on one folder, the later hides the other."""
    holding = [m for m in mounts if m.path == "/" or f"{path}/".startswith(f"{m.path.rstrip('/')}/")]
    return max(reversed(holding), key=lambda mount: len(mount.path), default=Mount("/", "", True))


def _remarks(answers: Answers) -> Iterator[str]:
    """Yield other facts, for people."""
    cpu = answers.sections.get("cpu", "")
    for name, pattern in (
        ("CPU", r"^model name\s*: (.+)$"),
        ("CPU features", r"^(?:Features|flags|isa)\s*: (.+)$"),
    ):
        found = re.search(pattern, cpu, re.MULTILINE)
        if found:
            yield f"{name}: {found[1].strip()}"
    memory = re.search(r"(\d+) kB", answers.line("memory"))
    if memory:
        yield f"memory: {int(memory[1]) >> 10} MiB"
    if answers.line("init"):
        yield f"first process: {answers.line('init')}"
    disks = [m for m in answers.mounts if m.kind not in _MEMORY_FILE_SYSTEMS[:6]]
    for mount in disks[:8]:
        free = f", {mount.free_bytes >> 20} MiB free" if mount.free_bytes else ""
        yield f"file system {mount.path} ({mount.kind}): {'writable' if mount.writable else 'read-only'}{free}"
    yield f"PATH of a login over ssh: {answers.line('login')}"
    if answers.line("services"):
        yield f"PATH of services: {answers.line('services').removeprefix('PATH=')}"
    for line in answers.sections.get("running", "").splitlines()[:5]:
        yield f"running with Python: {line.strip()}"
