"""Use a vendor's toolchain instead of zig: a Buildroot SDK, as a folder or as the tarball that Buildroot makes.

An SDK is a folder with ``bin/<triple>-gcc``, which knows its sysroot. The sysroot has the headers of the C
library, and perhaps of Python. The compiler itself reports its target; its name proves nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from crosswheel.cached import cached_path
from crosswheel.errors import BuildFailed, ToolchainError, UsageError
from crosswheel.files import digest_of, explained_storage_errors, sha256_of, write_text
from crosswheel.process import Runner
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.sandbox.view import View, cache_paths
from crosswheel.settings import Settings
from crosswheel.sources.archive import unpack
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.programs import Compilers, driver, driver_text, script, tools_folder
from crosswheel.toolchain.compilers.zig import host_programs, zig_environment

_RELOCATE = "relocate-sdk.sh"
_LAYOUT = "a Buildroot SDK has bin/<triple>-gcc, made by `make sdk`"
_MACRO = re.compile(r"^#define (\w+) (.*)$", re.MULTILINE)
# The macros that GCC predefines for an architecture, by its name in ELF.
_MACHINES = {
    "__arm__": "EM_ARM",
    "__aarch64__": "EM_AARCH64",
    "__x86_64__": "EM_X86_64",
    "__i386__": "EM_386",
}


@dataclass(frozen=True)
class Sdk:
    """An SDK that compiles for the target.

    Attributes:
        root: its folder.
        prefix: the common path of its programs: ``<root>/bin/arm-buildroot-linux-gnueabihf-``.
        sysroot: the folder with the target's root file system.
        gcc: the version of its GCC.
        glibc: the version of its C library.
        identity: identifies its contents.
    """

    root: Path
    prefix: str
    sysroot: Path
    gcc: str
    glibc: str
    identity: str

    def headers(self, target: Target) -> Path | None:
        """Return the folder of its ``Python.h``; ``None`` if it lacks the target's Python."""
        folder = self.sysroot / "usr" / "include" / f"python{target.python.short}"
        return folder if (folder / "Python.h").is_file() else None

    def warning(self, target: Target) -> str | None:
        """Return a warning for the user before building with it; ``None`` if there is none."""
        if Version(self.glibc) <= Version(target.abi.glibc):
            return None
        return (
            f"the SDK has glibc {self.glibc} and {target.title} {target.abi.glibc}: a wheel that needs what is newer "
            "will be refused by the audit"
        )

    def compilers(self, target: Target, cache: Path) -> Compilers:
        """Return its compilers, behind the same driver as zig's."""
        gcc, gxx = f"{self.prefix}gcc", f"{self.prefix}g++"
        prefix_map = "-ffile-prefix-map" if Version(self.gcc) >= Version("8") else "-fdebug-prefix-map"
        programs = {name: script(driver("gcc", name, gcc, gxx, prefix_map)) for name in ("cc", "c++")}
        for name in ("ar", "ranlib", "objcopy"):
            programs[name] = script([f"{self.prefix}{name}"])
        folder = tools_folder(programs, host_programs(), target.multiarch, cache)
        identity = digest_of(sdk=self.identity, driver=driver_text())
        versions = {"GCC": self.gcc, "SDK": f"{self.root.name} {self.identity}", "SDK's glibc": self.glibc}
        return Compilers(folder, identity, versions, zig_environment(cache), home=self.root)


def open_sdk(path: Path, target: Target, settings: Settings, runner: Runner) -> Sdk:
    """Return the SDK at a path: a folder, or a tarball, which is unpacked and relocated once.

    Raises:
        UsageError: there is nothing at that path.
        IntegrityError: the tarball is damaged or malicious.
        ToolchainError: it is no SDK, or one for another architecture.
    """
    if not path.exists():
        raise UsageError(f"there is no SDK at {path}", hint="--sdk takes a folder, or a tarball of one.")
    if path.is_dir():
        root = path.resolve()
        return _examined(root, _fingerprint(root), target, runner)
    digest = sha256_of(path)[:20]
    folder = cached_path(settings.cache, "sdks", digest)
    root = unpack(path, folder / "sdk")
    relocated = folder / "relocated"
    # Run the script in the final location, because it writes that path into the SDK's files.
    if (root / _RELOCATE).is_file() and not relocated.is_file():
        view = View(cache_paths(settings.cache), (root,))
        find_sandbox(settings.sandbox).run(
            runner, [f"./{_RELOCATE}"], view, cwd=root, env={"PATH": os.defpath}, check=True
        )
        write_text(relocated, "")
    return _examined(root, digest, target, runner)


def _fingerprint(root: Path) -> str:
    """Identify the contents of a folder from metadata, without reading the files."""
    facts = []
    with explained_storage_errors(root):
        for parent, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                status = Path(parent, name).lstat()
                facts.append((os.path.relpath(Path(parent, name), root), status.st_size, status.st_mtime_ns))
    return digest_of(files=facts)


def _examined(root: Path, identity: str, target: Target, runner: Runner) -> Sdk:
    candidates = sorted(root.glob("bin/*-gcc")) or sorted(root.glob("usr/bin/*-gcc"))
    if not candidates:
        raise ToolchainError(f"{root} is no SDK: it has no bin/*-gcc", hint=f"{_LAYOUT}.")
    strangers = []
    for gcc in candidates:
        macros = _macros(gcc, runner)
        offered, expected = _described(macros), _expected(target)
        if offered == expected:
            return _sdk(root, identity, gcc, macros, runner)
        strangers.append(f"    {gcc.name} compiles for {offered}")
    raise ToolchainError(
        f"the SDK {root} is not for {target.title}, which is {expected}:\n" + "\n".join(strangers),
        hint="give the SDK of that machine, or another --target.",
    )


def _sdk(root: Path, identity: str, gcc: Path, macros: Mapping[str, str], runner: Runner) -> Sdk:
    if "__GLIBC__" not in macros:
        raise ToolchainError(
            f"the C library of the SDK {root} is not glibc", hint="wheels for robots are built for glibc."
        )
    sysroot = _query(gcc, ["-print-sysroot"], runner)
    return Sdk(
        root=root,
        prefix=str(gcc)[: -len("gcc")],
        sysroot=Path(sysroot).resolve() if sysroot else root,
        gcc=".".join(macros[f"__GNUC{part}__"] for part in ("", "_MINOR", "_PATCHLEVEL")),
        glibc=f"{macros['__GLIBC__']}.{macros['__GLIBC_MINOR__']}",
        identity=identity,
    )


def _macros(gcc: Path, runner: Runner) -> Mapping[str, str]:
    """Return a compiler's predefined macros about itself, its architecture and its C library."""
    try:
        output = _query(gcc, ["-E", "-dM", "-x", "c", "-include", "features.h", os.devnull], runner)
    except BuildFailed as error:
        raise ToolchainError(
            f"{gcc} does not work:\n{error}",
            hint="an SDK that was moved has to be relocated (its relocate-sdk.sh does it); "
            "it must be made for this kind of building machine, and have its C library's headers.",
        ) from error
    return dict(_MACRO.findall(output))


def _query(gcc: Path, words: Sequence[str], runner: Runner) -> str:
    return runner.run([gcc, *words], env={"PATH": os.defpath, "LC_ALL": "C"}).output.strip()


def _described(macros: Mapping[str, str]) -> str:
    machine = next((name for macro, name in _MACHINES.items() if macro in macros), "a machine unknown here")
    order = "big" if macros.get("__BYTE_ORDER__") == "__ORDER_BIG_ENDIAN__" else "little"
    how = ("hard" if "__ARM_PCS_VFP" in macros else "soft") if machine == "EM_ARM" else "any"
    return _words(machine, 8 * int(macros.get("__SIZEOF_POINTER__", "0")), order, how)


def _expected(target: Target) -> str:
    abi = target.abi
    return _words(abi.elf_machine, abi.bits, abi.byte_order, abi.float)


def _words(machine: str, bits: int, byte_order: str, floating: str) -> str:
    return f"{machine}, {bits}-bit, {byte_order}-endian" + (
        f", {floating}-float" if floating != "any" else ""
    )
