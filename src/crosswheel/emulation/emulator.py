"""Run a target's Python on this machine in qemu's user mode, with the necessary parts of a foreign Linux.

Where this machine's CPU runs the target's code, no emulator is needed (:mod:`crosswheel.emulation.native`).

For a learned target, its own loader, libraries and Python run. For any other, the emulated C library is newer than
the target's, so a successful run proves nothing about symbol versions; :mod:`crosswheel.check.elf` proves those.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from pathlib import Path

from crosswheel.cached import CachedFolder
from crosswheel.debian import Debian, host_architecture
from crosswheel.emulation.native import UNAME, NativeLoader, native_loader
from crosswheel.emulation.standard_library import completed
from crosswheel.errors import CrosswheelError, TargetError, ToolchainError
from crosswheel.files import digest_of
from crosswheel.process import Result, Runner, Word, this_python
from crosswheel.sandbox import as_kernel
from crosswheel.sandbox.levels import Sandbox, find_sandbox
from crosswheel.sandbox.view import View, cache_paths
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.build_systems import QEMU_ENVIRONMENT
from crosswheel.toolchain.python.choosing import target_python
from crosswheel.toolchain.python.tree import PythonTree
from crosswheel.userlands import Userland, UserlandStore

# Libraries that CPython and common extension modules load.
ROOT_PACKAGES = (
    "libc6", "libgcc-s1", "libstdc++6", "libatomic1", "zlib1g", "libbz2-1.0", "liblzma5", "libexpat1",
    "libuuid1", "libcrypt1", "libusb-1.0-0", "libudev1", "tzdata",
)  # fmt: skip
# A 32-bit kernel reserves a quarter of the address space; programs and libraries also need room.
_LARGEST_MAPPING = 0xB0000000
_ROOT_HOLDS = ("lib*/ld*.so*", "lib/*/libc.so*")
_MUSL_PACKAGES = ("musl", "tzdata")
START = Path(str(resources.files("crosswheel.emulation"))) / "trial"
"""Comes first on the target Python's path in a trial; its modules explain how."""
FIRST_START = """
import contextlib, platform, sys
with contextlib.suppress(Exception):
    from importlib.util import cache_from_source
    from py_compile import PycInvalidationMode, compile
    for name, file in ("sitecustomize.py", cache_from_source("sitecustomize.py")), ("import_all.py", "import_all.pyc"):
        compile(name, file, f"{sys.argv[1]}/{name}", invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
print(platform.machine(), platform.python_version())
"""
"""Tells what runs it; where it can, it compiles those modules in its working directory for the folder that it is told.

To compile them at every start, the emulator would translate CPython's whole compiler each time. It executes
``import_all.pyc`` itself, and that is for this Python alone; ``sitecustomize`` has its source beside it for any other.
"""


@dataclass(frozen=True)
class Emulator:
    """An emulator that runs programs of a target.

    Attributes:
        qemu: the emulator program; ``None`` if this machine's CPU runs the target's code.
        root: a folder with the target's dynamic loader and C library in ``lib``.
        python: the target's Python, with the available part of its standard library.
        version: what runs, for messages: ``qemu-arm 7.2.22, CPython 3.10.8``; empty if that Python does not run.
        warnings: features of the target's Python that the emulated one lacks.
        machine: the emulator's options for the CPU and the kernel that it presents.
        kernel: the command prefix that hides system calls newer than the target's kernel; empty if unsupported here.
        sandbox: isolates the programs that run.
        view: the files that every program has to see.
        userland: the digest of the target's own userland, if ``root`` and ``python`` come from it.
        native: what starts programs on this machine's CPU, in place of an emulator.
        start: a folder with what is in ``START``, compiled for the target's Python if that succeeded.
    """

    qemu: Path | None
    root: Path
    python: PythonTree
    version: str
    warnings: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    sandbox: Sandbox = field(default_factory=find_sandbox)
    view: View = field(default_factory=View)
    userland: str | None = None
    native: NativeLoader | None = None
    start: Path = START

    @property
    def starter(self) -> Path:
        """The program that starts those of the target."""
        starter = self.native.path if self.native else self.qemu
        assert starter is not None
        return starter

    @property
    def prefix(self) -> list[str]:
        """The command prefix that runs a program of the target here."""
        if self.native:
            return [*self.kernel, *self.native.words()]
        settings = [f"{name}={value}" for name, value in QEMU_ENVIRONMENT.items()]
        return [*self.kernel, "env", *settings, str(self.qemu), "-L", str(self.root), *self.machine]

    def command(
        self, *words: Word, environment: Mapping[str, str] | None = None, program: Path | None = None
    ) -> list[str]:
        """Return the command line that runs the target's Python with the given arguments.

        Args:
            program: a link to the interpreter, in an environment (PEP 405).
        """
        if not self.python.runs:
            raise ToolchainError(
                f"there is no Python {self.python.short} that would run here as on the target",
                hint="its target file names only headers: see docs/targets.md. Run it on the robot itself.",
            )
        libraries = () if self.python.program else (self.python.root,)
        interpreter = str(program or self.python.executable)
        if self.native:
            variables = {UNAME: self.native.uname, **(environment or {})}
            settings = [f"{name}={value}" for name, value in variables.items()]
            loaded = [*self.native.words(libraries), interpreter]
            return [*self.kernel, "env", *settings, *loaded, *map(str, words)]
        found = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))} if libraries else {}
        variables = {**found, **(environment or {})}
        settings = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
        return [*self.prefix, *settings, interpreter, *map(str, words)]

    def run(
        self,
        runner: Runner,
        words: Sequence[Word],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 900,
        network: bool = False,
        check: bool = True,
        readable: Sequence[Path] = (),
    ) -> Result:
        """Run the target's Python to its end, in the sandbox; the rest is as in :meth:`Runner.run`.

        Args:
            cwd: the working directory, which it may write to; a temporary one if not given.
            network: whether it may reach the network; if so, it runs without the sandbox.
            readable: additional paths that it sees.
        """
        with contextlib.ExitStack() as stack:
            folder = cwd or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crosswheel.")))
            sandbox = Sandbox("none") if network else self.sandbox
            return sandbox.run(
                runner,
                self.command(*words, environment=environment),
                replace(self.view, readable=(*self.view.readable, *readable), writable=(folder,)),
                cwd=folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(folder)},
                timeout=timeout,
                check=check,
            )


def emulator_for(target: Target, settings: Settings, runner: Runner) -> Emulator:
    """Return a working emulator of the target; set it up if needed.

    Where this machine's CPU runs the target's Python, that is used, unless the settings want an emulator. If the
    target's Python is not available, the emulator runs other programs of the target.

    Raises:
        MissingToolError: qemu is neither installed nor available from the package manager.
        ToolchainError: qemu exists, but the target's Python does not start in it.
        TargetError: that Python has another version than the target states.
    """
    learned = kept_userland(target, settings)
    with ThreadPoolExecutor(1) as pool:
        completing = pool.submit(_own_or_completed, learned, target, settings, runner)
        root = learned.root if learned else userland(target, settings, runner)
        sandbox = find_sandbox(settings.sandbox)
        native = native_loader(target, root, learned, sandbox, runner) if settings.native else None
        qemu = partial(qemu_program, target.toolchain.qemu, settings, runner)
        fetched = None if native else qemu()
        python, lacking = completing.result()
    kernel = _kernel(target, runner)
    warnings = [_lacking(module, error, target) for module, error in lacking.items()]
    warnings += [_not_kept(target)] if target.userland and not learned else []
    warnings += (
        [] if kernel else [f"system calls that came after Linux {target.kernel} cannot be refused here"]
    )
    untried = Emulator(
        None,
        root,
        python,
        "",
        tuple(warnings),
        kernel=kernel,
        sandbox=sandbox,
        view=View(tuple(cache_paths(settings.cache))),
        userland=learned.digest if learned else None,
        native=native,
    )
    if native:
        with contextlib.suppress(ToolchainError):  # the sandbox may refuse it, or its pages may be too small
            return _tried(untried, target, settings, runner)
    program = fetched or qemu()
    view = replace(untried.view, readable=(*untried.view.readable, program.parent))
    emulated = replace(untried, qemu=program, native=None, machine=_machine(target), view=view)
    return _tried(emulated, target, settings, runner)


def _own_or_completed(
    learned: Userland | None, target: Target, settings: Settings, runner: Runner
) -> tuple[PythonTree, Mapping[str, CrosswheelError]]:
    """Return the Python to run, and what could not be made for it, each with the reason."""
    if learned and not target.python.provided:
        return own_python(learned, target), {}
    return completed(target_python(target, settings, runner), target, settings, runner)


def _tried(emulator: Emulator, target: Target, settings: Settings, runner: Runner) -> Emulator:
    """Return an emulator in which the target's Python has started, with its version and what trials start with."""
    if not emulator.python.runs:
        return emulator
    status, host = emulator.starter.stat(), os.uname()
    program = [str(emulator.starter), status.st_size, status.st_mtime_ns, *emulator.machine]
    inputs = {
        "program": [*emulator.kernel, *program, *((host.release, host.machine) if emulator.native else ())],
        "root": emulator.root,
        "python": emulator.python.root,
        "version": target.python.version,
        "start": {path.name: path.read_text() for path in START.glob("*.py")},
        "first": FIRST_START,
    }
    kept = CachedFolder.of(settings.cache, "emulators", inputs, ["version", "sitecustomize.py"])

    def fill(folder: Path) -> None:
        for path in START.glob("*.py"):
            shutil.copyfile(path, folder / path.name)
        (folder / "version").write_text(_try(emulator, target, runner, folder, kept.path))

    start = kept.make(fill)
    return replace(emulator, version=(start / "version").read_text(), start=start)


def kept_userland(target: Target, settings: Settings) -> Userland | None:
    """Return a target's own userland; ``None`` if it was not learned, or is not on this machine.

    Raises:
        IntegrityError: its manifest was modified.
    """
    return UserlandStore(settings.cache).kept(target.userland.digest) if target.userland else None


def own_python(learned: Userland, target: Target) -> PythonTree:
    """Return a machine's own Python, which runs with its own libraries."""
    assert target.userland is not None
    program = learned.path(target.userland.python)
    return PythonTree(program.parent.parent, target.python.short, program=program)


def _not_kept(target: Target) -> str:
    assert target.userland is not None
    return (
        f"{target.title}'s own userland ({target.userland.digest[:12]}) is not in this cache, so wheels are audited "
        "and run with other libraries than its own; learn the machine here, or use the cache where that was done"
    )


def _machine(target: Target) -> tuple[str, ...]:
    cpu = target.toolchain.qemu_cpu
    return ("-r", target.kernel, *(("-cpu", cpu) if cpu else ()))


def _kernel(target: Target, runner: Runner) -> tuple[str, ...]:
    """Return the command prefix that presents the target's kernel; empty if this kernel supports no filter."""
    if os.uname().machine not in as_kernel.MACHINES:
        return ()
    largest = f"{_LARGEST_MAPPING:x}" if target.abi.bits == 32 else "0"
    release = ".".join(map(str, (*target.kernel_version.release, 0)[:2]))
    words = (this_python(), "-ISs", str(Path(as_kernel.__file__)), release, largest, "--")
    return words if runner.run([*words, "true"], check=False).returncode == 0 else ()


def _lacking(module: str, error: CrosswheelError, target: Target) -> str:
    return (
        f"{module}, which {target.title}'s Python has, could not be made for the emulated one; what imports it cannot "
        f"be run here, and is refused. {error} ({error.hint})"
    )


def _try(emulator: Emulator, target: Target, runner: Runner, folder: Path, place: Path) -> str:
    """Start the target's Python once; return the version of what ran it.

    Args:
        folder: has the programs that it compiles.
        place: where that folder will lie.
    """
    answer = emulator.run(runner, ["-I", "-c", FIRST_START, place], cwd=folder, check=False)
    started = answer.output.split()[-1:]
    fitting = (target.python.version, target.python.compiled_for)
    if answer.returncode == 0 and "".join(started) not in fitting:
        origin = "its userland has" if target.userland else "what it names by its sha256 is"
        raise TargetError(
            f"the file of {target.name} says Python {target.python.version}, and {origin} {' '.join(started)}",
            hint=f'write version = "{" ".join(started)}": wheels are for all patch releases of {target.python.short}.',
        )
    if answer.returncode != 0:
        raise ToolchainError(
            f"Python {target.python.version} of {target.name} does not start by {emulator.starter}:\n{answer.output}",
            hint=f"remove {emulator.root} to have it made anew; `crosswheel doctor` looks at each part.",
        )
    refused = "without later system calls" if emulator.kernel else "by name only"
    own = f" of its userland {target.userland.digest[:12]}" if target.userland and emulator.userland else ""
    return f"{_runner_of(emulator, target, runner)}, Linux {target.kernel} {refused}), CPython {started[-1]}{own}"


def _runner_of(emulator: Emulator, target: Target, runner: Runner) -> str:
    """Return what executes the target's code, in words that go on with its kernel."""
    if emulator.native:
        host = os.uname()
        return f"no emulator (a CPU of {host.machine} under Linux {'.'.join(host.release.split('.')[:2])}"
    version = runner.run([emulator.starter, "--version"]).lines[0].split()[2]
    return f"qemu-{target.toolchain.qemu} {version} ({target.toolchain.qemu_cpu or 'any CPU'}"


def installed_qemu(target: Target) -> Path | None:
    """Return the emulator that is installed on this machine, if there is one."""
    return _installed(target.toolchain.qemu)


def kept_qemu(target: Target, settings: Settings) -> Path | None:
    """Return the emulator in the cache, if it was downloaded before."""
    kept = _qemu(target.toolchain.qemu, settings)
    return kept.path / kept.holds[0] if kept.is_whole else None


def has_root(target: Target, settings: Settings) -> bool:
    """Return whether the libraries for emulated programs are in the cache."""
    return _root(target, settings).is_whole


def is_native(target: Target, settings: Settings) -> bool:
    """Return whether this machine's CPU runs a target's code, as far as libraries of the target are in the cache.

    Raises:
        MissingToolError: there is no sandbox in which to try it.
    """
    learned, root = kept_userland(target, settings), _root(target, settings)
    if not settings.native or not (learned or root.is_whole):
        return False
    place, sandbox = learned.root if learned else root.path, find_sandbox(settings.sandbox)
    return native_loader(target, place, learned, sandbox, Runner()) is not None


def qemu_program(kind: str, settings: Settings, runner: Runner) -> Path:
    """Return the emulator of a CPU family, by the suffix of ``qemu-…-static``; download it if it is not installed.

    Raises:
        MissingToolError, NetworkError: it is not available.
    """
    installed = _installed(kind)
    if installed:
        return installed
    debian, kept = Debian(host_architecture(), settings, runner), _qemu(kind, settings)
    # One of three dozen programs, which are ten megabytes each.
    return kept.make(partial(debian.unpack, ["qemu-user-static"], only=kept.holds)) / kept.holds[0]


def _installed(kind: str) -> Path | None:
    paths = map(shutil.which, (f"qemu-{kind}-static", f"qemu-{kind}"))
    return next(map(Path, filter(None, paths)), None)


def _qemu(kind: str, settings: Settings) -> CachedFolder:
    return CachedFolder.of(settings.cache, "qemu-user", kind, [f"usr/bin/qemu-{kind}-static"])


def userland(target: Target, settings: Settings, runner: Runner) -> Path:
    """Return a folder with the libraries that emulated programs load; download them if needed.

    Raises:
        MissingToolError, NetworkError: they are not available.
    """
    debian = Debian(target.toolchain.debian, settings, runner, suite=target.toolchain.suite)

    def fill(root: Path) -> None:
        debian.unpack(_root_packages(target), root)
        for name in ("lib", "lib64"):  # since Debian 13, packages hold nothing above /usr
            if (root / "usr" / name).is_dir() and not (root / name).exists():
                (root / name).symlink_to(f"usr/{name}")

    return _root(target, settings).make(fill)


def _root_packages(target: Target) -> Sequence[str]:
    """Return the packages that emulated programs load: Debian's libraries are for glibc, as is all but musl itself."""
    return _MUSL_PACKAGES if target.abi.musl else ROOT_PACKAGES


def _root(target: Target, settings: Settings) -> CachedFolder:
    names = target.toolchain
    digest = digest_of(packages=_root_packages(target), architecture=names.debian, suite=names.suite)
    return CachedFolder.of(settings.cache, "roots", f"{names.debian}-{digest}", _ROOT_HOLDS)
