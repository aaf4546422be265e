"""Building a C library for a target from its original sources, and making it whole: what it needs is inside.

Only what can be linked statically is kept. A static archive does not say what else it needs, and who links it often
does not know either, so that the archives of the libraries it needs are merged into it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from crosswheel.debian import BinaryPackage, Debian
from crosswheel.download import download
from crosswheel.errors import BuildFailed, IntegrityError
from crosswheel.files import sha256_of
from crosswheel.process import Runner
from crosswheel.recipes.libraries import LibrarySpec
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.sources.archive import unpack
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.programs import Compilers, merge_archives, script
from crosswheel.toolchain.host_programs import require_programs
from crosswheel.toolchain.libraries.origins import Origin, write_origins
from crosswheel.toolchain.libraries.pkg_config import pkg_config_folder
from crosswheel.wheels.writing import EPOCH

_LICENCES = re.compile(r"(?i)(copying|licen[cs]e|copyright)(?!.*\.(py|c|h|sh)$)")
LINKS = "links"
"""The folder in a library's own where the compilers recorded what they linked: of a shared one, what is inside."""
_PRIVATE = re.compile(r"^(Requires|Libs)\.private:.*\n?", re.MULTILINE)
# What a library is told of where it is goes into its code, and so into wheels: the place that it has on a target.
_PREFIX = Path("/usr")
_AUTOTOOLS: Sequence[Sequence[str]] = (
    ["./configure", "--build={build}", "--host={multiarch}", "--prefix={prefix}", "--libdir={prefix}/lib"],
    ["make", "--jobs={jobs}"],
    ["make", "DESTDIR={stage}", "install"],
)
_CMAKE: Sequence[Sequence[str]] = (
    [
        "cmake", "-S", ".", "-B", "crosswheel-build", "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF",
        "-DCMAKE_POSITION_INDEPENDENT_CODE=ON", "-DCMAKE_INSTALL_PREFIX={prefix}", "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR={arch}", "-DCMAKE_FIND_ROOT_PATH={prefixes}",
        "-DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER", "-DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY",
        "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY", "-DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY",
        "-DCMAKE_AR={tools}/ar", "-DCMAKE_RANLIB={tools}/ranlib",
    ],
    ["cmake", "--build", "crosswheel-build", "--parallel", "{jobs}"],
    ["cmake", "--install", "crosswheel-build"],
)  # fmt: skip


@dataclass(frozen=True)
class Workshop:
    """What a library is made with: the compilers, the target's packages, the libraries it needs, and the emulator.

    ``compat`` is an archive to link last: of what the target's C library lacks and archives of Debian want.
    """

    target: Target
    compilers: Compilers
    debian: Debian
    needs: Sequence[Path]
    emulator: Sequence[str] = ()
    compat: Path | None = None

    @property
    def runner(self) -> Runner:
        """The runner of all commands."""
        return self.debian.runner

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of a build."""
        pkg_config = pkg_config_folder(self.target, self.debian.settings.cache)
        include = " ".join(f"-I{prefix / 'include'}" for prefix in self.needs)
        return {
            **self.compilers.variables,
            "CFLAGS": f"-O2 -fPIC {include}",  # not all makefiles look at CPPFLAGS
            "CXXFLAGS": f"-O2 -fPIC {include}",
            "CPPFLAGS": include,
            "LDFLAGS": " ".join(f"-L{prefix / 'lib'}" for prefix in self.needs),
            "PKG_CONFIG_LIBDIR": os.pathsep.join(str(prefix / "lib" / "pkgconfig") for prefix in self.needs),
            "PATH": os.pathsep.join([str(pkg_config), os.environ.get("PATH", os.defpath)]),
            "LC_ALL": "C.UTF-8",
            # OpenSSL has the time of its build in it, and so has what links it.
            "SOURCE_DATE_EPOCH": str(EPOCH),
            **({"CROSSWHEEL_COMPAT": str(self.compat)} if self.compat else {}),
        }

    def build(self, folder: Path, prefix: Path, spec: LibrarySpec, title: str) -> None:
        """Build a library as libraries.toml says, and put it into ``folder``, which will be ``prefix``.

        It is made for /usr, as on the target; what tells builds where it lies is then made to name ``prefix``.
        """
        commands, tools = _commands(spec)
        require_programs(tools, self.runner)
        work, stage = folder / "work", folder / "stage"
        packages = self.debian.unpack_packages(spec.prebuilt, work / "prebuilt") if spec.prebuilt else []
        archive, version = self._archive(spec, work / "download", packages)
        tree = unpack(archive, work / "unpack")
        words = {
            "prefix": _PREFIX,
            "prefixes": ";".join(map(str, [*self.needs, prefix])),
            "stage": stage,
            "prebuilt": work / "prebuilt",
            "tools": self.compilers.folder,
            "jobs": os.cpu_count(),
            "build": f"{os.uname().machine}-pc-linux-gnu",
            "multiarch": self.target.multiarch,
            "arch": self.target.machine,
            "machine": spec.machines.get(self.target.machine, self.target.machine),
            "emulator": work / "run-on-target",
        }
        env = {**self.environment, "DESTDIR": str(stage), "CROSSWHEEL_PREFIX_MAP": self._prefix_map(tree)}
        if spec.runs:
            env.update(self._running(work))
        links = work / LINKS
        links.mkdir()
        env["CROSSWHEEL_LINKS"] = str(links)
        settings = self.debian.settings
        view = self.compilers.view(settings.cache, [folder])
        sandbox = find_sandbox(settings.sandbox)
        for command in commands:
            filled = [word.format(**words) for word in command]
            sandbox.run(self.runner, filled, view, cwd=tree, env=env, check=True)
        compiled = Origin(spec.source, version, sha256_of(archive), as_released=True)
        write_origins(folder, [compiled, *map(Origin.of_package, packages)])
        for installed in (stage / _PREFIX.relative_to("/")).iterdir():
            installed.rename(folder / installed.name)
        for path in (
            *folder.glob("lib/pkgconfig/*.pc"),
            *folder.glob("lib/cmake/**/*.cmake"),
            *_scripts(folder),
        ):
            path.write_text(relocated(path.read_text(), prefix))
        _copy_licences(tree, folder, spec.licences, title)
        if any(links.iterdir()) and not _archives(folder):  # what goes into an archive is not linked yet
            links.rename(folder / LINKS)
        shutil.rmtree(work)
        shutil.rmtree(stage)
        (folder / "versions").write_text(f"{title} {version}\n")

    def _archive(
        self, spec: LibrarySpec, folder: Path, packages: Sequence[BinaryPackage]
    ) -> tuple[Path, str]:
        """Return the archive of a library's original sources, those of the packages, and which version that is."""
        if spec.source:
            versions = {f"={package.source_version}" for package in packages}
            archive = self.debian.source(spec.source + next(iter(versions), ""), folder)
            return archive, archive.name.split("_")[1].split(".orig")[0]
        location, sha256, version = spec.archive, spec.sha256, spec.version
        assert location and sha256 and version  # noqa: PT018 - LibrarySpec has all or none of them
        if "://" in location:
            destination = folder / PurePosixPath(unquote(urlsplit(location).path)).name
            archive = download(location, destination, sha256=sha256, settings=self.debian.settings)
        else:
            archive = Path(location)
            if sha256_of(archive) != sha256:
                raise IntegrityError(
                    f"{archive} is not what libraries.toml says: its SHA-256 is {sha256_of(archive)}",
                    hint="find out which of the two is right.",
                )
        return archive, version

    def _prefix_map(self, tree: Path) -> str:
        home = [f"{self.compilers.home}=/usr"] if self.compilers.home else []
        return os.pathsep.join([*home, f"{self.debian.settings.cache}=/usr", f"{tree}=."])

    def _running(self, folder: Path) -> Mapping[str, str]:
        """Write what runs programs of the target; return the variables by which configure scripts run their probes."""
        (folder / "run-on-target").write_text(script(self.emulator))
        (folder / "run-on-target").chmod(0o755)
        (folder / "config.site").write_text("cross_compiling=maybe\n")
        return {
            "CROSSWHEEL_EMULATOR": str(folder / "run-on-target"),
            "CONFIG_SITE": str(folder / "config.site"),
        }

    def finish(self, folder: Path, prefix: Path, spec: LibrarySpec) -> None:
        """Leave in a library's folder what a build for the target can use, with what it needs in its archives."""
        archives = _archives(folder)
        for path in folder.glob("lib/*"):
            if path.suffix == ".la" or (archives and ".so" in path.suffixes):
                path.unlink()
        for path in {*folder.glob("bin/*")} - {*_scripts(folder)}:
            path.unlink()  # a program of the target
        for path in folder.glob("lib/pkgconfig/*.pc"):
            path.write_text(_PRIVATE.sub("", path.read_text()))
        for name, text in spec.scripts.items():
            (folder / "bin").mkdir(exist_ok=True)
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text.format(prefix=prefix)}\n")
            (folder / "bin" / name).chmod(0o755)
        for name, parts in spec.merge.items():
            self._merge(folder / "lib" / name, [folder / "lib" / part for part in parts])
        inside = [archive for needed in self.needs for archive in _archives(needed)]
        for archive in archives:
            self._merge(archive, inside)

    def _merge(self, archive: Path, archives: Sequence[Path]) -> None:
        """Add the members of other archives to one."""
        if archives:
            merge_archives([archive, *archives], archive, self.compilers, self.runner)


def relocated(text: str, prefix: Path) -> str:
    """Return a text that tells where a library lies, for one that was made for /usr and lies at ``prefix``."""
    return re.sub(r"/usr(?=/lib|/include|\"|$)", str(prefix), text, flags=re.MULTILINE)


def _scripts(folder: Path) -> list[Path]:
    return [path for path in folder.glob("bin/*") if path.is_file() and path.read_bytes()[:2] == b"#!"]


def _commands(spec: LibrarySpec) -> tuple[Sequence[Sequence[str]], Sequence[str]]:
    """Return the commands that build a library, and the programs of this machine that they want."""
    if spec.cmake is not None:
        first, *then = _CMAKE
        return [[*first, *spec.cmake], *then], ["cmake", "make", *spec.tools]
    if spec.configure is not None:
        first, *then = _AUTOTOOLS
        return [[*first, *spec.configure], *then], ["make", *spec.tools]
    return spec.commands or (), spec.tools


def _copy_licences(tree: Path, folder: Path, names: Sequence[str], title: str) -> None:
    """Keep the licences of a source tree beside what is made of it; where there is none, that is an error."""
    texts = [tree / name for name in names] or [
        path for path in sorted(tree.iterdir()) if path.is_file() and _LICENCES.match(path.name)
    ]
    if not texts:
        raise BuildFailed(
            f"the sources of {title} have no licence beside them",
            hint="name its files with `licences` in libraries.toml.",
        )
    for licence in texts:
        shutil.copyfile(licence, folder / f"copyright-{title}-{licence.name}")


def _archives(prefix: Path) -> list[Path]:
    """Return the static archives of a library, without other names of them."""
    return [path for path in sorted(prefix.glob("lib/*.a")) if not path.is_symlink()]
