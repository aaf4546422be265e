"""Manages this machine's environments: assembles releases, tests them, switches to them and removes them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosswheel.agent import links as trees
from crosswheel.agent.disk import remove_tree, replace_link, require_space, sync
from crosswheel.agent.links import slot_of
from crosswheel.agent.machine import about_this_machine, processes_in
from crosswheel.agent.manifest import SBOM, Refused, id_of, is_name, require_name
from crosswheel.agent.packages import Arrival, Packages
from crosswheel.agent.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crosswheel.agent.manifest import Entry, Manifest

_RESERVE = 32 << 20  # bytes that stay free, as the robot's server needs space for its logs
_TEST_SECONDS = 600
_SAID = {"name", "version", "target", "programs", "test", "packages"}


class Environments:
    """The environments below ``root``; the folder ``programs`` has links to their launchers."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root = root.resolve()
        self.programs = programs
        self.packages = Packages(self.root / "packages")
        self._environments = self.root / "environments"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the store against changes by others during the block; the kernel unlocks it if this process dies."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused("busy", "another deployment to this robot is under way") from None
            yield

    def names(self) -> list[str]:
        """Return the names of all environments."""
        names = (path.parent.name for path in self._environments.glob("*/releases"))
        return sorted(name for name in names if is_name(name))

    def releases(self) -> list[Manifest]:
        """Return the descriptions of all finished releases; damaged ones are left out."""
        return [release for release in map(_read, self._folders()) if release]

    def expect(self, release: Manifest, lists: dict[str, list[Entry]]) -> Arrival:
        """Return what must be transferred for a release, given the file lists of the packages that are missing."""
        lacking = self.packages.lacking(release)
        donors: dict[str, set[str]] = {package["name"]: set() for package in lacking}
        for package in [package for installed in self.releases() for package in installed["packages"]]:
            if package["name"] in donors and (self.packages.root / slot_of(package)).is_dir():
                donors[package["name"]].add(slot_of(package))
        return Arrival(self.packages, lacking, lists, donors)

    def require_space(self, arrival: Arrival) -> int:
        """Return the bytes that an arrival will take; raise :class:`Refused` if the file system has too few."""
        need = arrival.need
        require_space(self.root, need, _RESERVE)
        return need

    def require_programs(self, release: Manifest) -> None:
        """Raise :class:`Refused` if a launcher's path exists and is not a launcher of this environment."""
        for program in release["programs"]:
            link = self.programs / program
            if os.path.lexists(link) and not self._is_launcher_of(link, release["name"]):
                raise Refused("occupied", f"{link} is there already, and is not of {release['name']}")

    def shadowing(self, release: Manifest) -> list[str]:
        """Return the machine's programs that hide a release's program of the same name."""
        folders = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")  # the first folders in a login's PATH
        paths = (f"{folder}/{program}" for program in release["programs"] for folder in folders)
        launchers = os.path.realpath(self.programs)
        return [p for p in paths if os.path.exists(p) and os.path.realpath(os.path.dirname(p)) != launchers]

    def build(self, release: Manifest) -> Path:
        """Assemble a release from its packages, sync it to the disk, and return its folder.

        An existing whole release is returned unchanged, as programs may run from it.
        """
        release = self.packages.placed(release)
        self.packages.remember()
        folder = self._environment(release["name"]) / "releases" / id_of(release)
        siblings = sorted(folder.parent.glob(f"{folder.name}.*"))
        for known in (folder, *siblings):
            if _read(known) == release and not any(trees.faults(known, release, self.packages)):
                return known
        while folder in siblings or os.path.lexists(folder):
            folder = _next(folder)
        temporary = folder.parent / f".unfinished-{folder.name}"
        remove_tree(temporary, ignore_errors=True)
        trees.make(temporary, release, self.packages)
        (temporary / "release.json").write_text(json.dumps(release, separators=(",", ":")))
        # Sync before the rename; the file system's journal keeps the order of the rename and the links that follow.
        sync(temporary)
        temporary.rename(folder)
        return folder

    def test(self, folder: Path) -> str:
        """Run a release's test; return its output.

        Raises:
            Refused: the test fails; the release is removed. Its packages stay until the next switch, for another try.
        """
        try:
            return "".join(self._run(folder, words) for words in _required(folder)["test"])
        except Refused:
            self._discard(folder)
            raise

    def activate(self, folder: Path, keep: int = 1) -> int:
        """Make a release the active one, atomically; return the number of its generation.

        Args:
            keep: the number of earlier versions to keep; one that a program runs from stays in any case.
        """
        name = folder.parent.parent.name
        active = self.active(name)
        if active is not None and self._generation(name, active).resolve() == folder:
            self._switch(name, active)  # restores missing launchers
            return active
        older = [number for number in self.generations(name) if active is not None and number <= active]
        number = max([0, *self.generations(name)]) + 1
        replace_link(folder, self._generation(name, number))
        self._switch(name, number)
        self._prune(name, {number, *(older[-keep:] if keep else ())})
        return number

    def previous(self, name: str) -> int:
        """Return the number of the generation before the active one; raise :class:`Refused` if there is none."""
        active = self.active(name)
        for number in reversed(self.generations(name)):
            if active is not None and number < active and _read(self._generation(name, number)):
                return number
        raise Refused("nothing", f"there is no version of {name} to go back to")

    def rollback(self, name: str) -> Manifest:
        """Go back to the generation before the active one, if its test succeeds; return its release."""
        number = self.previous(name)
        folder = self._generation(name, number).resolve()
        self.test(folder)
        self._switch(name, number)
        return _required(folder)

    def remove(self, name: str) -> None:
        """Remove an environment with its releases, its launchers, and the packages that only it uses."""
        if name not in self.names():
            raise Refused("nothing", f"there is no environment {name!r}")
        programs = [path.name for path in self.programs.glob("*") if self._is_launcher_of(path, name)]
        if self.services(programs):
            raise Refused("used", f"{name} is what the service {self.services(programs)[0]} runs")
        if processes_in(self._environment(name)):
            numbers = ", ".join(map(str, processes_in(self._environment(name))))
            raise Refused("running", f"programs of {name} are running (process {numbers})")
        with contextlib.suppress(FileNotFoundError):
            (self._environment(name) / "current").unlink()
        self._unlink_programs(name, frozenset())
        remove_tree(self._environment(name))
        self.sweep()

    def verify(self, name: str) -> list[str]:
        """Compare every file of the active release with its hash; return the faults."""
        active = self.active(name)
        if active is None:
            raise Refused("nothing", f"there is no environment {name!r}")
        folder = self._generation(name, active).resolve()
        release = _read(folder)
        if release is None:
            return [f"{folder}/release.json: it is damaged"]
        faults = [fault for package in release["packages"] for fault in self._faults_of(package, name)]
        faults += trees.faults(folder, release, self.packages)
        faults += Trust(self.root).faults(folder, release)
        for program in release["programs"]:
            link, launcher = self.programs / program, folder / "launchers" / program
            if not link.exists():
                faults.append(f"{link}: the launcher is gone")
            elif not link.samefile(launcher):
                faults.append(f"{link}: it is not the launcher any more")
        python = about_this_machine()["python"].rpartition(".")[0]
        if not release["target"].get("provided") and release["target"]["python"] != python:
            faults.append(f"it was made for Python {release['target']['python']}, and this is {python}")
        return faults

    def sbom(self, name: str) -> str | None:
        """Return the SBOM of the active release, if it has one."""
        active = self.active(name)
        if active is None:
            raise Refused("nothing", f"there is no environment {name!r}")
        file = self._generation(name, active) / SBOM
        return file.read_text() if file.is_file() else None

    def listing(self) -> list[dict[str, Any]]:
        """Return a row for each generation of each environment: its version, programs and size."""
        rows = []
        for name in self.names():
            active = self.active(name)
            for number in self.generations(name):
                release = _read(self._generation(name, number))
                stated_release = release or {"version": "", "programs": [], "packages": []}
                rows.append(
                    {
                        "name": name,
                        "version": stated_release["version"],
                        "generation": number,
                        "active": number == active,
                        "damaged": release is None,
                        "programs": stated_release["programs"],
                        "size": sum(package["size"] for package in stated_release["packages"]),
                    }
                )
        return rows

    def services(self, programs: Iterable[str]) -> list[str]:
        """Return the names of the services that run one of some programs."""
        starts = tuple(f"ExecStart={self.programs}/{program} " for program in programs)
        units = sorted((self.root / "services").glob("*.service"))
        return [
            unit.stem
            for unit in units
            if any(f"{line} ".startswith(starts) for line in unit.read_text(errors="replace").splitlines())
        ]

    def generations(self, name: str) -> list[int]:
        """Return the numbers of an environment's generations, in ascending order."""
        folder = self._environment(name) / "generations"
        return sorted(
            int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit() and path.is_dir()
        )

    def active(self, name: str) -> int | None:
        """Return the number of the active generation, or ``None`` if there is none."""
        try:
            number = int(os.path.basename(os.readlink(self._environment(name) / "current")))
        except (OSError, ValueError):
            return None
        return number if self._generation(name, number).is_dir() else None

    def sweep(self) -> None:
        """Remove packages that no release uses, and the remains of unfinished transfers and releases."""
        for unfinished in self._environments.glob("*/releases/.unfinished-*"):
            remove_tree(unfinished, ignore_errors=True)
        in_use: set[str] = set()
        for folder in self._folders():
            release = _read(folder)
            in_use |= (
                set(map(slot_of, release["packages"])) if release else trees.slots_of(folder, self.packages)
            )
        self.packages.sweep(in_use)
        for name in self.names():
            self._remove_empty(name)
        _remove_if_empty(self.packages.root, self._environments)

    def _folders(self) -> Iterator[Path]:
        """Yield the folders of all finished releases."""
        return self._environments.glob("*/releases/[!.]*")

    def _environment(self, name: str) -> Path:
        return self._environments / require_name(name)

    def _generation(self, name: str, number: int) -> Path:
        return self._environment(name) / "generations" / str(number)

    def _faults_of(self, package: Manifest, name: str) -> Iterator[str]:
        """Yield the faults of a package in an environment, and name the other environments that they affect."""
        slot = slot_of(package)
        for path, fault in self.packages.faults(slot, thorough=True).items():
            path_here = f"{self.packages.folder(slot)}/{path}"
            affected = {
                release["name"]
                for release in self.releases()
                for installed in release["packages"]
                if installed["name"] == package["name"] and release["name"] != name
                if _are_one(f"{self.packages.folder(slot_of(installed))}/{path}", path_here)
            }
            yield f"{path}: {fault}" + (f", for {', '.join(sorted(affected))}, too" if affected else "")

    def _run(self, folder: Path, words: list[str]) -> str:
        import subprocess

        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        try:
            process = subprocess.run(
                [str(folder / words[0]), *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self.root,
                env=environment,
                timeout=_TEST_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused("test", f"{' '.join(words)}: {error}") from error
        output = process.stdout.decode(errors="replace")
        if process.returncode != 0:
            raise Refused("test", f"{' '.join(words)} ended with {process.returncode}:\n{output[-4000:]}")
        return output

    def _switch(self, name: str, number: int) -> None:
        release = _required(self._generation(name, number))
        self.require_programs(release)
        current = self._environment(name) / "current"
        for program in release["programs"]:
            # Until the switch, a new launcher's link is dangling, which is better than a version without its launcher.
            replace_link(current / "launchers" / program, self.programs / program)
        replace_link(Path("generations", str(number)), current)
        self._unlink_programs(name, frozenset(release["programs"]))
        sync(self.root)

    def _unlink_programs(self, name: str, kept: frozenset[str]) -> None:
        for path in self.programs.glob("*"):
            if path.name not in kept and self._is_launcher_of(path, name):
                path.unlink()

    def _is_launcher_of(self, path: Path, name: str) -> bool:
        return path.is_symlink() and self._environment(name) in path.readlink().parents

    def _prune(self, name: str, kept: set[int]) -> None:
        """Remove the other generations that no program runs from, and the releases without a generation."""
        folders = {number: self._generation(name, number).resolve() for number in self.generations(name)}
        in_use = {folders[number] for number in kept}
        for number, folder in folders.items():
            if folder not in in_use and processes_in(folder):
                in_use.add(folder)
                kept.add(number)
        for path in (self._environment(name) / "generations").iterdir():
            if path.name not in map(str, kept):
                path.unlink()
        for folder in (self._environment(name) / "releases").iterdir():
            if folder not in in_use:
                remove_tree(folder)
        self.sweep()

    def _discard(self, folder: Path) -> None:
        name = folder.parent.parent.name
        generations = (self._environment(name) / "generations").glob("*")
        if folder not in [path.resolve() for path in generations]:
            remove_tree(folder, ignore_errors=True)
        self._remove_empty(name)

    def _remove_empty(self, name: str) -> None:
        _remove_if_empty(self._environment(name) / "releases", self._environment(name), self._environments)


def _read(folder: Path) -> Manifest | None:
    """Return the description of a finished release, given its folder or a link to it; ``None`` if it is damaged."""
    # A power cut may leave a file empty, or full of zeros.
    try:
        release: Manifest = json.loads((folder / "release.json").read_bytes())
    except (OSError, ValueError):
        return None
    return release if isinstance(release, dict) and release.keys() >= _SAID else None


def _required(folder: Path) -> Manifest:
    release = _read(folder)
    if release is None:
        raise Refused("damaged", f"{folder}/release.json is damaged")
    return release


def _next(folder: Path) -> Path:
    """Return the next name for a release: the same name with a number, or with the next number."""
    name, _, number = folder.name.partition(".")
    return folder.with_name(f"{name}.{int(number or 0) + 1}")


def _are_one(path: str, second: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(path, second)
    return False


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
