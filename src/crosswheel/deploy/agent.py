"""What runs on the robot: keeps isolated environments in a store, and switches between them in one step.

This one file is all: plain Python with nothing but its standard library. It is sent over ssh and then answers requests
on its standard streams, or it is the ``__main__`` of a bundle and is called by hand.

The store::

    <store>/<name>/releases/<id>/    a release: pyvenv.cfg, bin, lib/pythonX.Y/site-packages, launchers, release.json
    <store>/<name>/generations/<n>   links to releases, in the order in which they were activated
    <store>/<name>/current           links to the active generation; to replace this link is to switch
    <store>/incoming/<sha256>        files of a transfer that is not finished
    <programs>/<program>             links to <store>/<name>/current/launchers/<program>

A release is put together beside its place from hard links to files of other releases and to what came in, written to
the disk, and renamed; nothing in it changes later. So whatever ends this process, or the power, leaves the active
release as it was.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import io
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import sysconfig
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Optional

if TYPE_CHECKING:  # an older Python has to come as far as to be refused
    Manifest = dict[str, Any]
    # What a file is found by: its SHA-256, and whether it is executable; both belong to what a hard link shares.
    Key = tuple[str, bool]

_LENGTH = struct.Struct("!I")
_RESERVE = 32 << 20  # bytes of the file system that stay free: the robot's server needs some for its logs
_TEST_SECONDS = 600


class Refused(Exception):
    """A request cannot be done; ``kind`` is for programs, the text for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Store:
    """The environments of this machine, below ``root``; launchers are linked from ``programs``."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root = root.resolve()
        self.programs = programs
        self._incoming = root / "incoming"
        self._manifests: dict[Path, Manifest] = {}

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep others from changing the store while the block lasts; the kernel frees it if this process dies."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused("busy", "another deployment to this robot is under way") from None
            yield

    def names(self) -> list[str]:
        """Return the names of all environments."""
        return sorted(path.parent.name for path in self.root.glob("*/releases"))

    def releases(self) -> list[Path]:
        """Return the folders of all finished releases."""
        found = self.root.glob("*/releases/[!.]*/release.json")
        return sorted(path.parent for path in found)

    def manifest(self, folder: Path) -> Manifest:
        """Return what a finished release says of itself, given its folder or a link to it."""
        resolved = folder.resolve()
        if resolved not in self._manifests:
            self._manifests[resolved] = json.loads((resolved / "release.json").read_bytes())
        return self._manifests[resolved]

    def lacking_packages(self, release: Manifest) -> list[str]:
        """Return the digests of a release's packages whose list of files is not known here."""
        known = {
            package["digest"] for folder in self.releases() for package in self.manifest(folder)["packages"]
        }
        return [p["digest"] for p in release["packages"] if p["digest"] not in known]

    def complete(self, release: Manifest, files: dict[str, list[Any]]) -> Manifest:
        """Return a release with the lists of files of all its packages: from ``files``, or as they are known here."""
        known = {}
        for folder in self.releases():
            known.update({p["digest"]: p["files"] for p in self.manifest(folder)["packages"]})
        packages = []
        for package in release["packages"]:
            digest = package["digest"]
            complete = {**package, "files": known.get(digest) or files.get(digest, [])}
            if digest not in known and digest_of_package(complete) != digest:
                raise Refused("damaged", f"the list of files of {package['name']} is not what was promised")
            packages.append(complete)
        return {**release, "packages": packages}

    def lacking_files(self, release: Manifest) -> list[tuple[str, int]]:
        """Return hash and size of each file that has to be sent, in the order in which it is to come."""
        wanted = {(sha256, executable): size for _, sha256, size, executable in _files(release)}
        have = self._links()
        sizes = {key[0]: size for key, size in wanted.items() if key not in have}
        come = {path.name for path in self._incoming.glob("*")}
        return [
            (sha256, size)
            for sha256, size in sorted(sizes.items())
            if sha256 not in come or not self._is_whole(sha256)
        ]

    def require_space(self, release: Manifest, lacking: list[tuple[str, int]]) -> int:
        """Return how many bytes a release will take.

        Raises:
            Refused: the file system has less.
        """
        disk = next(path for path in (self.root, *self.root.parents) if path.is_dir())
        block = os.statvfs(disk).f_frsize
        folders = len({path.rpartition("/")[0] for path, *_ in _files(release)})
        need = sum(-(-size // block) * block for _, size in lacking) + 2 * block * folders
        free = shutil.disk_usage(disk).free
        if need + _RESERVE > free:
            raise Refused(
                "no-space",
                f"it needs {_megabytes(need)} and {_megabytes(_RESERVE)} have to stay free, but {self.root} has "
                f"{_megabytes(free)}",
            )
        return need

    def require_programs(self, release: Manifest) -> None:
        """Raise :class:`Refused` if the place of a launcher is taken by something that is not ours."""
        for program in release["programs"]:
            place = self.programs / program
            if os.path.lexists(place) and not self._is_launcher_of(place, release["name"]):
                raise Refused("occupied", f"{place} is there already and was not put there by crosswheel")

    def expect(self) -> None:
        """Make room for files that come in."""
        self._incoming.mkdir(parents=True, exist_ok=True)

    def take(self, sha256: str, blocks: Iterable[bytes]) -> None:
        """Keep a file that came in, by its hash; one that is cut off is found out by it when it is wanted again.

        :meth:`expect` comes first.
        """
        # Plain strings: this is done thousands of times, on a slow machine.
        path, digest = f"{self._incoming}/{sha256}", hashlib.sha256()
        with open(path, "wb", buffering=0) as stream:  # noqa: PTH123
            for block in blocks:
                digest.update(block)
                _write(stream, block)
        if digest.hexdigest() != sha256:
            Path(path).unlink()
            raise Refused("damaged", f"a file came with the hash {digest.hexdigest()} instead of {sha256}")

    def build(self, release: Manifest) -> Path:
        """Put a release together, and write it to the disk."""
        folder = self._folder(release)
        if (folder / "release.json").is_file():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()
        beside = folder.parent / f".unfinished-{folder.name}"
        links = self._links()
        for name in sorted({path.rpartition("/")[0] for path, *_ in _files(release)}):
            (beside / name).mkdir(parents=True, exist_ok=True)
        for path, sha256, _, executable in _files(release):
            key = (sha256, executable)
            if key not in links:
                links[key] = self._arrived(sha256, executable)
            os.link(links[key], f"{beside}/{path}")
        _make_environment(beside)
        (beside / "release.json").write_text(json.dumps(release, separators=(",", ":")))
        # Before it has its name; that and the links that follow are one after the other in the file system's journal.
        _sync(beside)
        beside.rename(folder)
        return folder

    def test(self, release: Manifest) -> str:
        """Run a release's own test in it; return what it prints.

        Raises:
            Refused: it fails; the release is removed.
        """
        folder = self._folder(release)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        output = ""
        for words in release["test"]:
            command = [str(folder / words[0]), *words[1:]]
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=self.root,
                    env=environment,
                    timeout=_TEST_SECONDS,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                self._discard(release)
                raise Refused("test", f"{' '.join(words)}: {error}") from error
            output += done.stdout.decode(errors="replace")
            if done.returncode != 0:
                self._discard(release)
                raise Refused("test", f"{' '.join(words)} ended with {done.returncode}:\n{output[-4000:]}")
        return output

    def activate(self, release: Manifest) -> int:
        """Make a release the active one, in one step; return the number of its generation."""
        name, folder = release["name"], self._folder(release)
        active = self.active(name)
        if active is not None and self._generation(name, active).resolve() == folder:
            self._switch(name, active)  # launchers that are gone come back
            return active
        number = max([0, *self.generations(name)]) + 1
        _link(folder, self._generation(name, number))
        self._switch(name, number)
        self._prune(name, {number} if active is None else {number, active})
        shutil.rmtree(self._incoming, ignore_errors=True)
        return number

    def rollback(self, name: str) -> Manifest:
        """Go back to the generation before the active one; return its release."""
        active = self.active(name)
        before = [number for number in self.generations(name) if active is not None and number < active]
        if not before:
            raise Refused("nothing", f"there is no version of {name} to go back to")
        self._switch(name, max(before))
        return self.manifest(self._generation(name, max(before)))

    def remove(self, name: str) -> None:
        """Remove an environment with all its releases and launchers."""
        if name not in self.names():
            raise Refused("nothing", f"there is no environment {name!r}")
        with contextlib.suppress(FileNotFoundError):
            (self.root / name / "current").unlink()
        self._unlink_programs(name, frozenset())
        shutil.rmtree(self.root / name)

    def verify(self, name: str) -> list[str]:
        """Compare every file of the active release with its hash; return what is wrong."""
        active = self.active(name)
        if active is None:
            raise Refused("nothing", f"there is no environment {name!r}")
        folder = self._generation(name, active).resolve()
        release = self.manifest(folder)
        faults = []
        for path, sha256, _, executable in _files(release):
            try:
                found = _sha256(folder / path)
            except OSError as error:
                faults.append(f"{path}: {error.strerror}")
                continue
            if found != sha256:
                faults.append(f"{path}: its bytes have changed")
            elif os.access(folder / path, os.X_OK) is not executable:
                faults.append(f"{path}: its permissions have changed")
        made = ("pyvenv.cfg", "bin/python3", "bin/python")
        faults += [f"{path}: it is gone" for path in made if not (folder / path).exists()]
        launchers = [self.programs / program for program in release["programs"]]
        faults += [f"{link}: the launcher is gone" for link in launchers if not link.exists()]
        here = ".".join(map(str, sys.version_info[:2]))
        if release["target"]["python"] != here:
            faults.append(f"it was made for Python {release['target']['python']}, and this is {here}")
        return faults

    def listing(self) -> list[dict[str, Any]]:
        """Return what there is: for each environment its generations, versions and programs."""
        found = []
        for name in self.names():
            active = self.active(name)
            for number in self.generations(name):
                release = self.manifest(self._generation(name, number))
                found.append(
                    {
                        "name": name,
                        "version": release["version"],
                        "generation": number,
                        "active": number == active,
                        "programs": release["programs"],
                        "size": sum(size for _, _, size, _ in _files(release)),
                    }
                )
        return found

    def generations(self, name: str) -> list[int]:
        """Return the numbers of an environment's generations, in ascending order."""
        folder = self.root / name / "generations"
        return sorted(int(path.name) for path in folder.glob("[0-9]*") if (path / "release.json").is_file())

    def active(self, name: str) -> Optional[int]:
        """Return the number of the active generation, or ``None`` if there is none."""
        try:
            number = int((self.root / name / "current").readlink().name)
        except (FileNotFoundError, ValueError):
            return None
        return number if (self._generation(name, number) / "release.json").is_file() else None

    def _generation(self, name: str, number: int) -> Path:
        return self.root / name / "generations" / str(number)

    def _folder(self, release: Manifest) -> Path:
        return self.root / str(release["name"]) / "releases" / id_of(release)

    def _links(self) -> dict[Key, str]:
        """Return where a file of a kind is, for all files of all releases."""
        links: dict[Key, str] = {}
        for folder in self.releases():
            for path, sha256, _, executable in _files(self.manifest(folder)):
                links[sha256, executable] = f"{folder}/{path}"
        return links

    def _is_whole(self, sha256: str) -> bool:
        """Tell whether a file of a transfer that was interrupted came as a whole; only its bytes can tell."""
        return _sha256(self._incoming / sha256) == sha256

    def _arrived(self, sha256: str, executable: bool) -> str:
        path = f"{self._incoming}/{sha256}"
        if executable:
            path = shutil.copyfile(path, f"{path}.executable")
        # Nothing may be written to: other releases share it.
        os.chmod(path, 0o555 if executable else 0o444)  # noqa: PTH101 - thousands of times, on a slow machine
        return path

    def _switch(self, name: str, number: int) -> None:
        release = self.manifest(self._generation(name, number))
        self.require_programs(release)
        self.programs.mkdir(parents=True, exist_ok=True)
        for program in release["programs"]:
            # Until the switch, a new one leads nowhere: better than a version whose launcher is missing.
            _link(self.root / name / "current" / "launchers" / program, self.programs / program)
        _link(Path("generations", str(number)), self.root / name / "current")
        self._unlink_programs(name, frozenset(release["programs"]))
        _sync(self.root)

    def _unlink_programs(self, name: str, kept: frozenset[str]) -> None:
        for path in self.programs.glob("*"):
            if path.name not in kept and self._is_launcher_of(path, name):
                path.unlink()

    def _is_launcher_of(self, path: Path, name: str) -> bool:
        return path.is_symlink() and self.root / name in path.readlink().parents

    def _prune(self, name: str, kept: set[int]) -> None:
        """Remove the other generations, and the releases that have none."""
        for path in (self.root / name / "generations").iterdir():
            if path.name not in map(str, kept):
                path.unlink()
        used = {self._generation(name, number).resolve() for number in kept}
        for folder in (self.root / name / "releases").iterdir():
            if folder not in used:
                shutil.rmtree(folder)

    def _discard(self, release: Manifest) -> None:
        folder = self._folder(release)
        generations = (self.root / release["name"] / "generations").glob("*")
        if folder not in [path.resolve() for path in generations]:
            shutil.rmtree(folder, ignore_errors=True)
        self._remove_empty(release["name"])

    def _remove_empty(self, name: str) -> None:
        for folder in (self.root / name / "releases", self.root / name):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _remove_unfinished(self) -> None:
        for folder in self.root.glob("*/releases/.unfinished-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def give_up(self) -> None:
        """Free what an installation has taken that did not fit on the disk."""
        self._remove_unfinished()
        shutil.rmtree(self._incoming, ignore_errors=True)
        for name in self.names():
            self._remove_empty(name)


def digest_of_package(package: Manifest) -> str:
    """Return the name of a package by its content: files with their places, hashes, sizes and permissions."""
    content = [package["name"], package["version"], package["files"]]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def id_of(release: Manifest) -> str:
    """Return the name of a release by its content."""
    packages = [[p["name"], p["version"], p["digest"]] for p in release["packages"]]
    content = {**release, "packages": packages}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def about_this_machine() -> dict[str, Any]:
    """Return what decides whether an environment runs here, and what the image has."""
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "soabi": sysconfig.get_config_var("SOABI"),
        "glibc": (libc or "").rpartition(" ")[2],
        "hostname": platform.node(),
        "packages": dict(_image_packages(Path(sysconfig.get_path("purelib")))),
    }


def require_target(target: dict[str, str]) -> None:
    """Raise :class:`Refused` if what was made for ``target`` would not run on this machine."""
    here = about_this_machine()
    short = ".".join(here["python"].split(".")[:2])
    faults = []
    if here["machine"] != target["machine"]:
        faults.append(f"it is an {here['machine']}, not an {target['machine']}")
    if short != target["python"]:
        faults.append(f"it has Python {here['python']}, not {target['python']}")
    elif here["soabi"] != target["soabi"]:
        faults.append(f"its Python loads {here['soabi']}, not {target['soabi']}")
    if not here["glibc"] or _numbers(here["glibc"]) < _numbers(target["glibc"]):
        faults.append(
            f"its C library is {here['glibc'] or 'not glibc'}, not glibc {target['glibc']} or newer"
        )
    if faults:
        raise Refused("target", f"this machine is not an {target['name']}: " + "; ".join(faults))


def _image_packages(site: Path) -> Iterator[tuple[str, str]]:
    for info in sorted(site.glob("*.dist-info")):
        name, _, version = info.name[: -len(".dist-info")].rpartition("-")
        yield name.lower().replace("_", "-").replace(".", "-"), version


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _files(release: Manifest) -> Iterator[list[Any]]:
    for package in release["packages"]:
        yield from package["files"]


def _make_environment(folder: Path) -> None:
    """Add what makes a folder a virtual environment of this machine's own Python (PEP 405)."""
    python = Path(sys.executable)
    version = platform.python_version()
    configuration = f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    (folder / "pyvenv.cfg").write_text(configuration)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "python3").symlink_to(python)
    (folder / "bin" / "python").symlink_to("python3")


def _write(stream: io.RawIOBase, block: bytes) -> None:
    """Write all of a block: a raw file may take less than it is given, as when the disk is nearly full."""
    rest = memoryview(block)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def _link(goal: Path, place: Path) -> None:
    """Make or replace a symbolic link in one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.parent / f".{place.name}.new"
    beside.unlink(missing_ok=True)
    beside.symlink_to(goal)
    beside.replace(place)


def _sync(folder: Path) -> None:
    """Write everything to the disk that is still in memory for the file system of ``folder``."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), "syncfs", str(folder))
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


# Requests over standard streams.


class Server:
    """Answers the requests of one connection; each message is a length and JSON, compressed."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._store: Optional[Store] = None
        self._release: Manifest = {}
        self._lacking: list[tuple[str, int]] = []
        self._held = contextlib.ExitStack()

    def run(self) -> None:
        """Answer until the connection ends."""
        with self._held:
            while True:
                message = self._read()
                if not message:
                    return
                self._write(self._answer(json.loads(zlib.decompress(message))))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do: Callable[..., dict[str, Any]] = getattr(self, "do_" + request.pop("do"))
        try:
            return do(**request)
        except Refused as refusal:
            return {"error": refusal.kind, "message": str(refusal)}
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                return {"error": "system", "message": f"{error.strerror}: {error.filename}"}
            if self._store:
                self._store.give_up()
            return {"error": "no-space", "message": "the disk became full; what was sent was removed again"}
        except Exception:
            return {"error": "defect", "message": traceback.format_exc()}

    @property
    def _opened(self) -> Store:
        assert self._store is not None
        return self._store

    def do_open(self, store: str, programs: str) -> dict[str, Any]:
        """Say which store the requests that follow are about; return what this machine is."""
        self._store = Store(Path(store), Path(programs))
        folder = next(path for path in (Path(store), *Path(store).parents) if path.is_dir())
        return {**about_this_machine(), "free": shutil.disk_usage(folder).free}

    def do_hold(self) -> dict[str, Any]:
        """Keep other connections from changing the store until this one ends."""
        self._held.enter_context(self._opened.exclusive())
        return {}

    def do_offer(self, release: Manifest) -> dict[str, Any]:
        """Take the description of a release without its files; return the packages whose files are not known."""
        require_target(release["target"])
        self._opened.require_programs(release)
        self._release = release
        return {"packages": self._opened.lacking_packages(release)}

    def do_plan(self, files: dict[str, list[Any]]) -> dict[str, Any]:
        """Take the lists of files that were not known; return what has to be sent."""
        self._release = self._opened.complete(self._release, files)
        self._lacking = self._opened.lacking_files(self._release)
        return {"lacking": self._lacking, "need": self._opened.require_space(self._release, self._lacking)}

    def do_receive(self) -> dict[str, Any]:
        """Take what has to be sent: one compressed stream, cut into blocks; an empty one ends it."""
        stream = _Stream(self._read)
        try:
            self._opened.expect()
            for sha256, size in self._lacking:
                self._opened.take(sha256, stream.read(size))
        finally:
            stream.finish()  # or its rest would be taken for requests
        return {}

    def do_build(self) -> dict[str, Any]:
        """Put the release together."""
        self._opened.build(self._release)
        return {}

    def do_test(self) -> dict[str, Any]:
        """Run the release's test."""
        return {"output": self._opened.test(self._release)}

    def do_activate(self) -> dict[str, Any]:
        """Switch to the release."""
        return {"generation": self._opened.activate(self._release)}

    def do_list(self) -> dict[str, Any]:
        """Return what there is."""
        return {"environments": self._opened.listing()}

    def do_rollback(self, name: str) -> dict[str, Any]:
        """Go back to the version before."""
        return {"version": self._opened.rollback(name)["version"]}

    def do_remove(self, name: str) -> dict[str, Any]:
        """Remove an environment."""
        self._opened.remove(name)
        return {}

    def do_verify(self, name: str) -> dict[str, Any]:
        """Compare an environment with its hashes."""
        return {"faults": self._opened.verify(name)}

    def do_write(self, path: str, text: str, executable: bool) -> dict[str, Any]:
        """Write a small file, as a whole or not at all."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.parent / f".{place.name}.new"
        beside.write_text(text)
        beside.chmod(0o755 if executable else 0o644)
        beside.replace(place)
        return {}

    def do_delete(self, path: str) -> dict[str, Any]:
        """Remove a small file, if it is there."""
        Path(path).unlink(missing_ok=True)
        return {}

    def do_run(self, words: list[str]) -> dict[str, Any]:
        """Run a program to its end; return its exit code and what it printed."""
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return {"returncode": done.returncode, "output": done.stdout.decode(errors="replace")}

    def _read(self) -> bytes:
        head = self._source.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise SystemExit  # the connection is gone, and with it whoever would read an answer
        (length,) = _LENGTH.unpack(head)
        body = self._source.read(length)
        if len(body) < length:
            raise SystemExit
        return body

    def _write(self, answer: dict[str, Any]) -> None:
        body = zlib.compress(json.dumps(answer, separators=(",", ":")).encode())
        self._sink.write(_LENGTH.pack(len(body)) + body)
        self._sink.flush()


class _Stream:
    """A compressed stream that comes in blocks, given back in pieces of asked sizes."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._next = read
        self._inflate = zlib.decompressobj()
        self._ended = False

    def read(self, size: int) -> Iterator[bytes]:
        while size:
            limit = min(size, 1 << 20)
            # What was taken in may still hold output, even where nothing of it is left over.
            block = self._inflate.decompress(self._inflate.unconsumed_tail, limit)
            block = block or self._inflate.decompress(self._block(), limit)
            size -= len(block)
            yield block

    def _block(self) -> bytes:
        block = self._next()
        if not block:
            self._ended = True
            raise Refused("damaged", "what was sent is shorter than promised")
        return block

    def finish(self) -> None:
        while not self._ended and self._next():
            pass


# A bundle: this file is its __main__, and everything it installs is inside.


def install(store: Store, bundle: zipfile.ZipFile) -> str:
    """Install what a bundle holds; return what to tell.

    Raises:
        Refused: it does not fit this machine, or does not work on it; what was active stays active.
    """
    release: Manifest = json.loads(bundle.read("release.json"))
    require_target(release["target"])
    with store.exclusive():
        store.require_programs(release)
        release = store.complete(release, {p["digest"]: p["files"] for p in release["packages"]})
        lacking = store.lacking_files(release)
        store.require_space(release, lacking)
        try:
            store.expect()
            for sha256, _ in lacking:
                store.take(sha256, _blocks(bundle, f"files/{sha256}"))
            store.build(release)
        except OSError as error:
            store.give_up()
            raise Refused("no-space", f"{error.strerror}; what was unpacked was removed again") from error
        store.test(release)
        store.activate(release)
    places = ", ".join(str(store.programs / program) for program in release["programs"])
    return f"{release['name']} {release['version']} is installed: {places}"


def require_whole(bundle: Path) -> None:
    """Raise :class:`Refused` if a byte of a bundle is not what it was: its end is the hash of what is before."""
    data = bundle.read_bytes()
    if hashlib.sha256(data[:-64]).hexdigest().encode() != data[-64:]:
        raise Refused("damaged", f"{bundle} is damaged: its bytes do not have the hash that it ends with")


def _blocks(bundle: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    with bundle.open(member) as stream:
        yield from iter(lambda: stream.read(1 << 20), b"")


def main() -> int:
    """Serve a connection, or do what the command line of a bundle says; return the exit code."""
    if sys.argv[1:] == ["serve"]:
        Server(sys.stdin.buffer, sys.stdout.buffer).run()
        return 0
    parser = argparse.ArgumentParser(description="Install, undo, check or remove the program in this bundle.")
    parser.add_argument("do", choices=("install", "list", "verify", "rollback", "remove"))
    do, bundle = parser.parse_args().do, Path(sys.argv[0])
    try:
        require_whole(bundle)
        with zipfile.ZipFile(bundle) as archive:
            print(_done(do, archive))
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    return 0


def _done(do: str, archive: zipfile.ZipFile) -> str:
    place = json.loads(archive.read("place.json"))
    store, name = Store(Path(place["store"]), Path(place["programs"])), place["name"]
    if do == "install":
        return install(store, archive)
    if do == "list":
        rows = (
            f"{row['name']} {row['version']}{' (active)' if row['active'] else ''}" for row in store.listing()
        )
        return "\n".join(rows)
    if do == "verify":
        faults = store.verify(name)
        if faults:
            raise Refused("damaged", "\n".join(faults))
        return f"{name}: every file is as it was installed"
    with store.exclusive():
        if do == "rollback":
            return f"{name} {store.rollback(name)['version']} is active"
        store.remove(name)
        return f"{name} is removed"


if __name__ == "__main__":
    sys.exit(main())
