"""CPython, built from source for a target with the target's own compiler settings, and for the machine that builds.

What it needs beyond the C library is inside the interpreter, with all modules of the standard library, so that it runs
on a machine that has nothing else, and wherever it lies. Of what it is linked with, it exports nothing: a wheel that
brings a library of its own must not get another one's functions. The one for the building machine runs build backends,
and the build of the other: of that, it has to be the very release.
"""

from __future__ import annotations

import os
import pprint
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from crosswheel.cached import CachedFolder, cached_path
from crosswheel.errors import BuildFailed
from crosswheel.files import digest_of
from crosswheel.process import Runner
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.sources.archive import unpack
from crosswheel.targets import PythonSource, Target
from crosswheel.toolchain.compilers.programs import Compilers
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.host_programs import require_programs
from crosswheel.toolchain.libraries import visibility
from crosswheel.toolchain.libraries.exchange import fetch_folder, share_folder
from crosswheel.toolchain.libraries.linking import (
    Library,
    compat_archive,
    compat_inputs,
    library,
    link_environment,
    with_needs,
)
from crosswheel.toolchain.libraries.pkg_config import pkg_config_folder
from crosswheel.toolchain.python.bytecode import compile_library
from crosswheel.toolchain.python.cpython_source import source_archive
from crosswheel.toolchain.python.tree import PythonTree, read_build_variables

_KIND = "python"
# A zip cannot hold a time before 1980; a build that tells its day tells this one.
_EPOCH = "315532800"
_OPTIMIZED = "-DNDEBUG -fwrapv -O2 -Wall"
# What a configure script would find out by running something on the target.
_ANSWERS = (
    "ac_cv_file__dev_ptmx=yes",
    "ac_cv_file__dev_ptc=no",
    "ac_cv_buggy_getaddrinfo=no",
    "ac_cv_working_openssl_ssl=yes",
    "ac_cv_working_openssl_hashlib=yes",
)
# Tests, and what needs a graphical interface.
_LEFT_OUT = ("__pycache__", "idlelib", "lib2to3", "test", "tests", "tkinter", "turtle.py", "turtledemo")


@dataclass(frozen=True)
class CPythonBuild:
    """One build; ``host`` is the interpreter that runs it, or ``None`` where what is built is that.

    ``shared`` is the team's cache of what was built.
    """

    target: Target
    source: PythonSource
    libraries: Sequence[str]
    modules: Sequence[str]
    settings: Settings
    runner: Runner
    tell: Callable[[str], None]
    host: PythonTree | None
    shared: SharedCache | None = None

    def tree(self) -> PythonTree:
        """Return what is built, from the cache where it lies there; by one process at a time."""
        folder, tree = self._folder, self.expected
        holds = [str(path.relative_to(folder)) for path in (tree.executable, tree.include / "pyconfig.h")]
        holds.append(f"lib/python{self._short}/_sysconfigdata_*.py")
        waiting = partial(self.tell, f"waiting for another command that builds Python {self._short}")
        built_here: list[Path] = []
        CachedFolder(folder, holds, is_sealed=True).make(partial(self._fill, built_here), waiting=waiting)
        if built_here:
            share_folder(self.shared, _KIND, folder)
        return tree

    @property
    def expected(self) -> PythonTree:
        """Where what is built lies."""
        return PythonTree(self._folder, self._short)

    @property
    def _short(self) -> str:
        return ".".join(self.source.version.split(".")[:2])

    @property
    def _title(self) -> str:
        where = "this machine" if self.host is None else self.target.title
        return f"Python {self.source.version} for {where}"

    @cached_property
    def _compilers(self) -> Compilers:
        return zig_compilers(self.target, self.settings.cache)

    @cached_property
    def _linked(self) -> list[Library]:
        made = []
        for name in self.libraries:
            self.tell(f"{self._title}: {name}")
            made.append(
                library(name, self.target, self._compilers, self.settings, self.runner, shared=self.shared)
            )
        return with_needs(made)

    @cached_property
    def _folder(self) -> Path:
        digest = digest_of(
            source=self.source.sha256,
            target=self.target.kind,
            compilers=self._compilers.identity,
            compat=compat_inputs(self.target, self._compilers),
            libraries=sorted(item.prefix.name for item in self._linked),
            way=[Path(__file__).read_text(), Path(visibility.__file__).read_text()],
            host=self.host and self.host.root.name,
        )
        name = f"cpython-{self.source.version}-{self.target.toolchain.debian}-{digest}"
        return cached_path(self.settings.cache, "python", name)

    def _fill(self, built_here: list[Path], folder: Path) -> None:
        if fetch_folder(self.shared, _KIND, folder, self._folder):
            return
        built_here.append(folder)
        require_programs(["make"], self.runner)
        archive = source_archive(self.source, self.settings, self.runner)
        with tempfile.TemporaryDirectory(prefix="work.", dir=folder) as name:
            self.tell(f"{self._title}: unpacking")
            tree = unpack(archive, Path(name) / "unpack")
            self._compile(tree, Path(name))
            self.tell(f"{self._title}: putting it together")
            _install(tree, folder, self._short, self._names(tree))
        if self.host is None:  # only it runs here; what it cannot write, it would compile anew at each start
            made = PythonTree(folder, self._short)
            compile_library(made.stdlib, made.executable, self.runner)
        for item in self._linked:
            for licence in item.licences:
                shutil.copyfile(licence, folder / licence.name)

    def _compile(self, tree: Path, work: Path) -> None:
        if self.target.abi.musl:
            state_triplet(tree, self.target.multiarch)
        environment = self._environment(tree, self._hidden(tree))
        view = self._compilers.view(self.settings.cache, [work])
        sandbox = find_sandbox(self.settings.sandbox)
        make = ["make", f"--jobs={os.cpu_count() or 1}"]
        for title, command in (
            ("configuring", ["./configure", *self._options()]),
            ("compiling", [*make, "python", "platform"]),
        ):
            self.tell(f"{self._title}: {title}")
            sandbox.run(self.runner, command, view, cwd=tree, env=environment, check=True)
        self._require_modules(tree)

    def _options(self) -> list[str]:
        options = [
            "--prefix=/usr",
            "--disable-test-modules",
            "--with-ensurepip=no",
            f"OPT={_OPTIMIZED}",
            "MODULE_BUILDTYPE=static",
        ]
        if self.host is None:
            return options
        openssl = next(item.prefix for item in self._linked if item.name == "openssl")
        return [
            *options,
            f"--build={os.uname().machine}-pc-linux-gnu",
            f"--host={self.target.multiarch}",
            f"--with-build-python={self.host.executable}",
            f"--with-openssl={openssl}",
            "--with-readline=editline",
            *_ANSWERS,
        ]

    def _hidden(self, tree: Path) -> Path:
        """Write copies of the libraries' archives that export nothing; return their folder."""
        folder = tree / "hidden"
        folder.mkdir()
        for item in self._linked:
            for archive in item.prefix.glob("lib/*.a"):
                visibility.hidden_copy(archive, folder / archive.name)
        return folder

    def _environment(self, tree: Path, hidden: Path) -> Mapping[str, str]:
        compat = compat_archive(self.target, self._compilers, self.settings.cache, self.runner)
        linked = link_environment(self._linked, compat, self._compilers)
        kept = ("CPPFLAGS", "CROSSWHEEL_COMPAT", "PKG_CONFIG_LIBDIR")
        pkg_config = pkg_config_folder(self.target, self.settings.cache)
        return {
            **self._compilers.variables,
            **{name: linked[name] for name in kept},
            "LDFLAGS": f"-L{hidden} {linked['LDFLAGS']}",
            "CFLAGS_NODIST": self._flags,
            "CROSSWHEEL_PREFIX_MAP": os.pathsep.join(
                f"{path}={name}" for path, name in self._names(tree).items()
            ),
            "SOURCE_DATE_EPOCH": _EPOCH,
            "PATH": os.pathsep.join([str(pkg_config), os.environ.get("PATH", os.defpath)]),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def _flags(self) -> str:
        """The options with which the interpreter alone is compiled."""
        # musl gives a thread 128 KiB of stack, which Python code of ordinary depth overflows; glibc gives 8 MiB.
        stack = " -DTHREAD_STACK_SIZE=0x100000" if self.target.abi.musl else ""
        return f"-Wno-error=date-time{stack}"

    def _names(self, tree: Path) -> Mapping[Path, str]:
        """Return the folders of this machine that nothing of it may name, and what is named instead."""
        home = {self._compilers.home: "/usr"} if self._compilers.home else {}
        return {**home, self.settings.cache: "/usr", tree: "."}

    def _require_modules(self, tree: Path) -> None:
        inside = (tree / "Modules" / "config.c").read_text()
        lacking = [name for name in self.modules if f"PyInit_{name}" not in inside]
        if lacking:
            raise BuildFailed(
                f"{self._title} was built without {', '.join(lacking)}: what they link was not found",
                hint=f"the whole output is in {self.runner.log}." if self.runner.log else "see its output.",
            )


def state_triplet(tree: Path, triplet: str) -> None:
    """Write into an unpacked source the triplet that names its extension modules, such as ``aarch64-linux-musl``.

    configure has this file preprocessed, and tells musl by a macro of its headers. Clang's own headers come first, and
    lack it; then there is no triplet at all.
    """
    # Older C has `linux` as a macro, of the value 1.
    (tree / "Misc" / "platform_triplet.c").write_text(f"#undef linux\nPLATFORM_TRIPLET={triplet}\n")


def _install(tree: Path, folder: Path, short: str, names: Mapping[Path, str]) -> None:
    """Put what was built into a folder as it lies below a prefix."""
    library, include = folder / "lib" / f"python{short}", folder / "include" / f"python{short}"
    shutil.copytree(tree / "Lib", library, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    shutil.copytree(tree / "Include", include)
    shutil.copyfile(tree / "pyconfig.h", include / "pyconfig.h")
    (library / "lib-dynload").mkdir()  # by this folder it knows its prefix
    (library / "lib-dynload" / "README").write_text("All extension modules are inside the interpreter.\n")
    built = tree / (tree / "pybuilddir.txt").read_text().strip()
    for data in built.glob("_sysconfigdata_*.py"):
        (library / data.name).write_text(_without_folders(data, names))
    (folder / "bin").mkdir()
    program = folder / "bin" / f"python{short}"
    shutil.copyfile(tree / "python", program)
    program.chmod(0o755)
    (folder / "bin" / "python3").symlink_to(program.name)
    shutil.copyfile(tree / "LICENSE", folder / "copyright-cpython")


def _without_folders(data: Path, names: Mapping[Path, str]) -> str:
    """Return sysconfig data that names no folder of this machine; of two folders, the inner one is looked for first."""
    variables = dict(read_build_variables(data))
    for path, name in sorted(names.items(), key=lambda item: -len(str(item[0]))):
        pattern = re.compile(re.escape(str(path)) + r"(?![\w.-])")
        variables = {
            key: pattern.sub(name, value) if isinstance(value, str) else value
            for key, value in variables.items()
        }
    return f"build_time_vars = {pprint.pformat(variables)}\n"
