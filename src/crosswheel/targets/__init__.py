"""Defines targets, the machines that wheels are for, and reads them from TOML files; no code is about one machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.version import Version
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from crosswheel.errors import TargetError
from crosswheel.targets.interpreter import (
    Artifact,
    Python,
    PythonSource,
    Table,
    python_source,
    python_sources,
    with_source,
)

__all__ = [
    "Artifact",
    "Python",
    "PythonSource",
    "Target",
    "load",
    "named_with_python",
    "names",
    "python_source",
    "python_sources",
    "robot_of",
]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# The machine that programs of a 32-bit system see, although the kernel may be a 64-bit one.
_NARROW = {"aarch64": "armv7l", "x86_64": "i686"}
_WITH_PYTHON = re.compile(r"(.+)-py(\d)(\d+)")


class Abi(Table):
    """The ELF header values and the newest symbol versions that the target's dynamic loader accepts.

    The C library is either glibc, with ``oldest_glibc`` for published wheels, or ``musl``, whose symbols have no
    versions.
    """

    elf_machine: str
    bits: Literal[32, 64]
    byte_order: Literal["little", "big"]
    float: Literal["hard", "soft", "any"]
    glibc: str = ""
    oldest_glibc: str = ""
    musl: str = ""
    glibcxx: str
    cxxabi: str
    gcc: str
    long_double_bits: Literal[64, 80, 128]
    page_bytes: int = 4096

    @field_validator("glibc", "oldest_glibc", "musl", "glibcxx", "cxxabi", "gcc")
    @classmethod
    def _symbol_version(cls, value: str) -> str:
        if not re.fullmatch(r"\d+(\.\d+)+", value):
            raise ValueError("expected a version such as 2.25")
        return value

    @model_validator(mode="after")
    def _one_c_library(self) -> Abi:
        if bool(self.glibc) == bool(self.musl) or bool(self.glibc) != bool(self.oldest_glibc):
            raise ValueError("expected `glibc` and `oldest_glibc`, or `musl`")
        return self

    @model_serializer(mode="wrap")
    def _with_its_c_library_alone(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        return {name: value for name, value in values.items() if value != ""}

    @property
    def libc(self) -> str:
        """Its C library and the version, such as ``glibc 2.25``."""
        return f"glibc {self.glibc}" if self.glibc else f"musl {self.musl}"

    @property
    def glibc_version(self) -> Version:
        """The version of its glibc; 0 if it has another C library."""
        return Version(self.glibc or "0")


class ToolchainNames(Table):
    """The target's names in the terms of each tool.

    ``also_runs`` names the CPUs, as zig spells them, whose code the target's runs as well.
    ``suite`` is Debian's release whose C library and Python are emulated; ``archives`` the one whose static libraries
    are linked, which should be an older one. ``glibc`` is linked against, where that is to be an older one than the
    target's.
    """

    zig: str
    cpu: str
    also_runs: tuple[str, ...] = ()
    rust: str
    debian: str
    qemu: str
    qemu_cpu: str = ""
    suite: str = "bookworm"
    archives: str = "bookworm"
    defines: tuple[str, ...] = ()
    glibc: str = ""

    @property
    def cpu_model(self) -> str:
        """The CPU as GCC and rustc spell it, without zig's list of features; empty if any CPU will do."""
        model = re.split(r"[+-]", self.cpu)[0]
        return "" if model in ("generic", "baseline") else model.replace("_", "-")


class Image(Table):
    """The content of the target's system image: shared libraries by soname, Python packages with versions.

    ``versions`` lists all symbol versions that a library defines, for libraries where they are known; ``loader`` is the
    path of the dynamic loader, if that is not in ``/lib``.
    """

    libraries: tuple[str, ...] = ()
    versions: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    loader: str | None = None
    packages: Mapping[str, str] = Field(default_factory=dict)


class LearnedUserland(Table):
    """The machine's own files that its Python loads, which were copied when the machine was learned.

    Attributes:
        digest: the SHA-256 of their manifest; the files are in the cache of the host that learned the machine.
        python: the path of its Python; empty if it has none.
        system: the name that the image gives itself.
    """

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    python: str = Field(default="", pattern=r"^(/.*)?$")
    system: str = ""


class Robot(Table):
    """Where the target keeps isolated environments, and how its plain pip behaves.

    Attributes:
        store: the folder of the environments, on a file system that survives updates of the image.
        programs: the folder for launchers, which is in a login's ``PATH``.
        boot: a folder of programs that the system runs at every boot; ``None`` if there is none.
        prefix: the ``sys.prefix`` of the image's Python.
        pip_config: the text of the image's ``/etc/pip.conf``.
        bundle: whether plain pip cannot install beside the image's packages, so that a program needs one wheel with
            its whole closure.
        server: the image's packages that the robot's own server imports.
    """

    store: str = Field(pattern=r"^/[A-Za-z0-9._/-]+$")
    programs: str = Field(pattern=r"^/[A-Za-z0-9._/-]+$")
    boot: str | None = None
    prefix: str = "/usr"
    pip_config: str = ""
    bundle: bool = False
    server: tuple[str, ...] = ()


class Target(Table):
    """All that is known of a machine that wheels are for."""

    # The name is a folder in every index, beside the folders that every index has.
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")

    @field_validator("name")
    @classmethod
    def _free(cls, value: str) -> str:
        if value in ("simple", "project", "assets"):
            raise ValueError("expected another name: every index has a folder of this one")
        return value

    title: str
    machine: str
    kernel: str = Field(pattern=r"^\d+(\.\d+)+")
    multiarch: str
    python: Python
    abi: Abi
    toolchain: ToolchainNames
    image: Image = Image()
    userland: LearnedUserland | None = None
    robot: Robot | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_source_of_python(cls, stated: Any) -> Any:
        python = stated.get("python") if isinstance(stated, dict) else None
        if not isinstance(python, dict):
            return stated
        return {**stated, "python": with_source(python, str(stated.get("multiarch")))}

    @model_validator(mode="after")
    def _machine_of_its_programs(self) -> Target:
        narrow = _NARROW.get(self.machine)
        if narrow and self.abi.bits == 32:
            raise ValueError(
                f"machine is {self.machine}, which has 64 bits, and abi.bits is 32: where only the kernel is a 64-bit "
                f'one, as on many a Raspberry Pi, write machine = "{narrow}"'
            )
        return self

    @property
    def platform_tag(self) -> str:
        """The platform tag of wheels that are built for it, such as ``linux_armv7l``."""
        return f"linux_{self.machine}"

    @property
    def linked_glibc(self) -> str:
        """The version of glibc that is linked against; empty if the target has another C library."""
        return self.toolchain.glibc or self.abi.glibc

    @property
    def kernel_version(self) -> Version:
        """Its kernel's version, without a distribution's suffix."""
        match = re.match(r"\d+(\.\d+)*", self.kernel)
        assert match
        return Version(match[0])

    @property
    def lacks_atomics(self) -> bool:
        """Whether its CPU has no atomic instructions: what is linked has to bring the operations. So ARM before v6."""
        return bool(re.match(r"armv[2-5]", self.machine))

    @property
    def loader(self) -> str | None:
        """The path of its dynamic loader, which every program names."""
        named = (name for name in self.image.libraries if name.startswith(("ld-", "ld.so", "ld64.")))
        return self.image.loader or next((f"/lib/{name}" for name in named), None)

    @property
    def extension_suffix(self) -> str:
        """The file name suffix of this Python's extension modules."""
        return f".{self.python.soabi}.so"

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """All wheel tags that the target's pip accepts, in order of preference (PEP 425, PEP 600, PEP 656)."""
        platforms = list(self._platforms())
        version = self.python.numbers
        abi = f"cp{version[0]}{version[1]}"
        every = (
            *cpython_tags(version, abis=[abi], platforms=platforms),
            *compatible_tags(version, interpreter=abi, platforms=platforms),
        )
        return tuple(tag for tag in every if str(tag) not in self.python.refused_tags)

    def _platforms(self) -> Iterator[str]:
        if self.abi.musl:  # PEP 656
            major, newest = Version(self.abi.musl).release[:2]
            yield from (f"musllinux_{major}_{minor}_{self.machine}" for minor in range(newest, -1, -1))
        else:
            yield from self._manylinux()
        yield self.platform_tag

    def _manylinux(self) -> Iterator[str]:
        newest, oldest = (int(v.split(".")[1]) for v in (self.abi.glibc, self.abi.oldest_glibc))
        for minor in range(newest, oldest - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor == 17:
                yield f"manylinux2014_{self.machine}"

    @cached_property
    def marker_environment(self) -> dict[str, str]:
        """The values of the target's environment markers (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python.version,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": self.kernel,
            "platform_system": "Linux",
            "platform_version": "#1 SMP",
            "python_full_version": self.python.version,
            "python_version": self.python.short,
            "sys_platform": "linux",
        }

    @property
    def kind(self) -> dict[str, object]:
        """All that compiled C code depends on, apart from Python and from other content of the image."""
        return self.model_dump(mode="json", include={"machine", "kernel", "multiarch", "abi", "toolchain"})

    def with_python(self, short: str) -> Target:
        """Return this target with a Python of another minor version, which is built from source and sent there.

        Raises:
            TargetError: no source of that version is known.
        """
        python_source(short)
        stated = {**self.model_dump(), "python": {"provided": short}}
        return Target.model_validate({**stated, "name": f"{self.name}-py{short.replace('.', '')}"})

    @property
    def fingerprint(self) -> dict[str, object]:
        """All that a wheel's bytes or its verdict may depend on; the title and the robot's folders are left out."""
        return self.model_dump(mode="json", exclude={"title", "robot"})


def names(folder: Path | None = None) -> list[str]:
    """Return the names of the targets that ship with crosswheel and of those in ``folder``."""
    stems = {path.stem for path in folder.glob("*.toml")} if folder else set()
    shipped = resources.files("crosswheel.targets") / "data"
    return sorted(stems | {Path(item.name).stem for item in shipped.iterdir() if item.name.endswith(".toml")})


def robot_of(target: Target) -> Robot:
    """Return a target's ``[robot]`` table.

    Raises:
        TargetError: it has none.
    """
    if target.robot is None:
        raise TargetError(
            f"target {target.name} does not say where programs are kept on it",
            hint="add a [robot] table with `store` and `programs` to its file; ot2.toml is an example.",
        )
    return target.robot


def load(name_or_path: str, folder: Path | None = None) -> Target:
    """Load a target by name, or from a TOML file given by its path.

    If no file has the name ``ot2-py313``, it stands for ``ot2`` with a Python 3.13 that is sent there.

    Args:
        name_or_path: ``ot2``, or a path that ends in ``.toml``.
        folder: a folder of more target files, which come before those that ship with crosswheel.

    Raises:
        TargetError: there is no such target, or its file is wrong.
    """
    if name_or_path.endswith(".toml"):
        return parse(Path(name_or_path).name, _read(Path(name_or_path)))
    if folder and (folder / f"{name_or_path}.toml").is_file():
        return parse(f"{name_or_path}.toml", _read(folder / f"{name_or_path}.toml"))
    shipped = resources.files("crosswheel.targets") / "data" / f"{name_or_path}.toml"
    if name_or_path in names():
        return parse(f"{name_or_path}.toml", shipped.read_text())
    derived = _WITH_PYTHON.fullmatch(name_or_path)
    if derived and derived[1] in names(folder):
        return load(derived[1], folder).with_python(f"{derived[2]}.{derived[3]}")
    raise TargetError(
        f"there is no target named {name_or_path!r}",
        hint=f"known targets: {', '.join(names(folder))}; a new robot is a new TOML file, given by its path.",
    )


def named_with_python(name_or_path: str, short: str | None) -> str:
    """Return the name of a target with a Python of another minor version; the name itself if no version is given.

    Raises:
        TargetError: the target is a file, or no source of that version is known.
    """
    if short is None:
        return name_or_path
    python_source(short)
    if name_or_path.endswith(".toml"):
        raise TargetError(
            f"--python {short} goes with a target's name, and {name_or_path} is a file",
            hint=f'write provided = "{short}" in its [python] table, and nothing else there.',
        )
    return f"{name_or_path}-py{short.replace('.', '')}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise TargetError(
            f"the target file {path} cannot be read: {error.strerror}", hint="check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise TargetError(
            f"the target file {path} is not text: {error}", hint="check the path; ot2.toml is an example."
        ) from error


def parse(file: str, text: str) -> Target:
    """Parse the text of a target file.

    Args:
        file: the file's name, for messages.

    Raises:
        TargetError: it does not describe a target.
    """
    try:
        return Target.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"{file} is not TOML: {error}", hint="mend that line.") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {_expectation(e)}" for e in error.errors()]
        raise TargetError(
            f"{file} does not describe a target:\n" + "\n".join(f"    {fault}" for fault in faults),
            hint="docs/targets.md explains every key; ot2.toml is a complete example.",
        ) from error


def _expectation(error: Mapping[str, object]) -> str:
    if error["type"] == "missing":
        return "this key is required"
    if error["type"] == "extra_forbidden":
        return "there is no such key"
    return f"{error['msg']}, not {error['input']!r}"
