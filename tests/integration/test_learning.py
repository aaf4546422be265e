"""A machine is learned from its own files, and wheels are proven with them: what a newer system lets pass is found."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check.elf import audit
from crosswheel.check.own_system import own_system
from crosswheel.emulation.emulator import emulator_for, kept_userland
from crosswheel.emulation.trials import Importable, Trial, import_modules
from crosswheel.errors import TargetError
from crosswheel.job.examining import examine_wheels
from crosswheel.learning.learn import Named, learn_root, write_target
from crosswheel.learning.roots import image_program, opened_root
from crosswheel.learning.selection import take
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.environment import toolchain_for
from crosswheel.userlands import UserlandStore
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.reading import WheelFile
from support import userlands
from support.command_line import command_line
from support.objects import Compiler
from support.wheels import make_wheel

SETTINGS = Settings.from_environment()
INIT = "void *PyInit_fault(void) { %s return PyModuleDef_Init(*pointer); }"
MODULE = "extern void *PyModuleDef_Init(void *); static char definition[200];"
MODULE += " void *pointers[64] = {[0 ... 63] = definition}; void **volatile pointer = pointers;"


def silent(text: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(log=tmp_path_factory.mktemp("log") / "log.txt")


@pytest.fixture(scope="module")
def bookworm(runner: Runner) -> Path:
    return userlands.bookworm(SETTINGS, runner)


@pytest.fixture(scope="module")
def debian(bookworm: Path, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A Debian 12, learned."""
    learned = learn_root(Named("bench"), bookworm, SETTINGS, runner, silent)
    return write_target(learned, tmp_path_factory.mktemp("targets"), replace=False)[1]


@pytest.fixture(scope="module")
def old(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A machine with glibc 2.31, learned."""
    root = userlands.older(SETTINGS, runner, tmp_path_factory.mktemp("old"))
    learned = learn_root(Named("old"), root, SETTINGS, runner, silent)
    return write_target(learned, tmp_path_factory.mktemp("targets"), replace=False)[1]


def test_a_machine_is_described_as_its_files_say(debian: Target) -> None:
    assert (debian.title, debian.machine, debian.multiarch) == (
        "Debian GNU/Linux 12 (bookworm)", "armv7l", "arm-linux-gnueabihf",
    )  # fmt: skip
    assert debian.python.version.startswith("3.11.")
    assert debian.python.soabi == "cpython-311-arm-linux-gnueabihf"
    assert (debian.abi.glibc, debian.abi.glibcxx, debian.abi.float) == ("2.36", "3.4.30", "hard")
    assert debian.abi.oldest_glibc == "2.17"
    assert debian.loader == "/lib/ld-linux-armhf.so.3"
    assert {"libc.so.6", "libstdc++.so.6", "libssl.so.3", "libcrypt.so.1"} <= set(debian.image.libraries)
    assert "XCRYPT_2.0" in debian.image.versions["libcrypt.so.1"]
    assert {"pip", "markupsafe"} <= set(debian.image.packages)


def test_the_headers_of_a_distributions_python_are_those_of_its_packages(debian: Target) -> None:
    assert (debian.python.packaged, debian.toolchain.suite) == (True, "bookworm")
    assert debian.python.built is None


def test_what_the_services_of_an_image_import_is_learned_of_its_files(
    bookworm: Path, runner: Runner, tmp_path: Path
) -> None:
    root = shutil.copytree(bookworm, tmp_path / "root", symlinks=True, copy_function=os.link)
    for path, text in {
        "etc/systemd/system/bench.service": "[Service]\nExecStart=/opt/bench/serve --port 80\n",
        "opt/bench/serve": "#!/usr/bin/python3\nfrom pages import page\n",
        "opt/bench/pages.py": "import json, markupsafe\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for folder, server in {bookworm: (), root: ("markupsafe",)}.items():
        learned = learn_root(Named("bench"), folder, SETTINGS, runner, silent)
        _, target = write_target(learned, tmp_path, replace=True)
        assert target.robot
        assert target.robot.server == server


def test_a_machine_with_musl_and_without_a_python_is_learned_where_one_is_to_be_sent(
    runner: Runner, tmp_path: Path
) -> None:
    root = userlands.musl(SETTINGS, runner)
    with pytest.raises(TargetError, match="has no Python 3") as none:
        learn_root(Named("bare"), root, SETTINGS, runner, silent)
    assert "--python 3.13" in none.value.hint
    learned = learn_root(Named("bare", provided="3.13"), root, SETTINGS, runner, silent)
    _, target = write_target(learned, tmp_path, replace=False)
    assert target.abi.libc.startswith("musl 1.2.")
    assert (target.multiarch, target.toolchain.zig) == ("arm-linux-musleabihf", "arm-linux-musleabihf")
    assert (target.loader, target.python.provided) == ("/lib/ld-musl-armhf.so.1", "3.13")
    assert str(target.tags[0]) == "cp313-cp313-musllinux_1_2_armv7l"
    assert target.userland
    assert target.userland.python == ""


def test_its_tags_are_those_of_its_own_pip(debian: Target, runner: Runner) -> None:
    emulator = emulator_for(debian, SETTINGS, runner)
    program = "from pip._vendor.packaging.tags import sys_tags; print(*sys_tags())"
    told = emulator.run(runner, ["-E", "-s", "-c", program]).output.split()
    assert told == list(map(str, debian.tags))


def test_what_is_guessed_is_marked(bookworm: Path, runner: Runner, tmp_path: Path) -> None:
    learned = learn_root(Named("bench"), bookworm, SETTINGS, runner, silent)
    path, _ = write_target(learned, tmp_path, replace=False)
    guessed = {line.split()[0] for line in path.read_text().splitlines() if "# a guess" in line}
    assert {"machine", "kernel", "page_bytes", "cpu", "store", "programs"} <= guessed
    assert not {"glibc", "version", "soabi", "elf_machine", "oldest_glibc"} & guessed


def test_the_same_files_give_the_same_userland_from_a_folder_an_archive_and_images(
    bookworm: Path, debian: Target, runner: Runner, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "root.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(bookworm, ".")
    ext4, squashfs = tmp_path / "root.ext4", tmp_path / "root.squashfs"
    images = {
        ("mkfs.ext4", "e2fsprogs"): ["-q", "-d", bookworm, ext4, "200M"],
        ("mksquashfs", "squashfs-tools"): [
            bookworm,
            squashfs,
            "-quiet",
            "-no-progress",
            "-Xcompression-level",
            "1",
        ],
    }
    for program, words in images.items():
        path, env = image_program(*program, SETTINGS, runner)
        runner.run([path, *words], env=env)
    assert debian.userland
    for image in (tmp_path / "root.tar.gz", ext4, squashfs):
        with opened_root(image, SETTINGS, runner) as source:
            userland, _ = take(source, UserlandStore(SETTINGS.cache), silent)
        assert userland.digest == debian.userland.digest, image


def test_wheels_are_run_by_the_machines_own_python(debian: Target, runner: Runner) -> None:
    emulator = emulator_for(debian, SETTINGS, runner)
    assert emulator.userland == debian.userland.digest if debian.userland else False
    loaded = "import ctypes; print(sorted({l.split()[-1] for l in open('/proc/self/maps') if '.so' in l}))"
    output = emulator.run(runner, ["-c", loaded]).output
    assert "/libc.so.6" in output
    assert all(
        str(emulator.root) in path or "userlands/files" in path
        for path in json.loads(output.replace("'", '"'))
    )


def test_what_the_image_has_does_not_stand_in_for_what_a_wheel_requires(
    debian: Target, tmp_path: Path
) -> None:
    files = {"needy/__init__.py": b"import markupsafe\n"}
    wheel = make_wheel(tmp_path, "needy", "1.0", files, requires=["markupsafe"])
    examined = examine_wheels([wheel], debian, SETTINGS, run=True, tell=silent)
    assert "No module named 'markupsafe'" in examined.skipped["needy"]


def test_a_proof_names_the_userland_and_a_wheel_is_proven_anew_in_another_one(
    bookworm: Path, debian: Target, tmp_path: Path
) -> None:
    toolchain_for(debian, SETTINGS)  # of the user's cache, which the command's own links to
    updated = tmp_path / "updated"
    shutil.copytree(bookworm, updated, symlinks=True)
    (updated / "usr/lib/python3/dist-packages/news.py").touch()
    with command_line(tmp_path) as line:
        line.offer_wheel("good", files={"good.py": b"import ssl\n"})
        digests = []
        for word, root in ("learn", bookworm), ("update", updated):
            told = line.run("target", word, "bench", "--rootfs", str(root))
            assert told.returncode == 0, told.output
            assert ("good-1.0-py3-none-any.whl" in told.words) == (root == updated)
            digests.append(targets.load("bench", line.folder / "targets").userland)
            built = line.run("build", "good==1.0", "--target", "bench", "--build-type", "packages-only")
            assert built.returncode == 0, built.output
            (proof,) = map(Proof.read, (line.folder / "dist").rglob("*.proof.json"))
            assert proof
            assert digests[-1]
            assert (proof.userland, proof.imported) == (digests[-1].digest, ("good",))
    assert len(set(digests)) == 2


# --- faults that a newer system lets pass ---


def faulty(folder: Path, kind: str) -> bytes:
    """Return an extension module with a fault that only an older system shows."""
    compiler = Compiler(folder)
    if kind == "unversioned":
        source = MODULE + "extern int close_range(unsigned, unsigned, int);" + INIT % "close_range(9, 9, 0);"
        return compiler.linked(source, "-shared")
    if kind == "packed":
        return compiler.linked(
            MODULE + INIT % "", "-shared", "-z", "pack-relative-relocs", "--hash-style=both"
        )
    (folder / "libcrypt.so.1").write_bytes(userlands.own_libcrypt(folder, "XCRYPT_2.0"))
    (folder / "newer.map").write_text("XCRYPT_2.0 { global: crypt_gensalt; };")
    versions = ("-soname", "libcrypt.so.1", "--version-script", "newer.map")
    compiler.linked("char *crypt_gensalt(void) { return 0; }", "-shared", *versions, name="libcrypt.so.1")
    source = MODULE + "extern char *crypt_gensalt(void);" + INIT % "crypt_gensalt();"
    return compiler.linked(source, "-shared", "libcrypt.so.1")


def loaded_faults(wheel: Path, target: Target, folder: Path, runner: Runner) -> list[str]:
    """Return why the wheel's module does not load with a target's own libraries."""
    site = folder / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    trial = Trial(emulator_for(target, SETTINGS, runner), [site], folder / "scratch", runner)
    imports = import_modules(Importable(wheel.name, ["fault"]), trial)
    return [fault.message for fault in imports.faults]


@pytest.mark.parametrize(
    ("kind", "audited", "loaded"),
    [
        ("unversioned", "it needs close_range of glibc 2.34", "undefined symbol: close_range"),
        ("packed", "its relocations are packed (DT_RELR)", "segmentation fault"),
        ("XCRYPT_2.0", "it needs XCRYPT_2.0 of libcrypt.so.1", "XCRYPT_2.0' not found"),
    ],
)
def test_what_a_newer_system_lets_pass_is_found_twice(
    kind: str, audited: str, loaded: str, old: Target, debian: Target, runner: Runner, tmp_path: Path
) -> None:
    module = faulty(tmp_path, kind)
    files = {f"fault{old.extension_suffix}": module}
    wheel = make_wheel(tmp_path / "wheels", "fault", "1.0", files, tag="cp310-cp310-linux_armv7l")
    learned = kept_userland(old, SETTINGS)
    assert learned
    _, faults = audit(WheelFile.open(wheel), old, own_system(old, learned))
    assert [fault.message for fault in faults if audited in fault.message], faults
    messages = loaded_faults(wheel, old, tmp_path / "old", runner)
    assert messages
    assert loaded in messages[0]
    newer = {f"fault{debian.extension_suffix}": module}
    fitting = make_wheel(tmp_path / "wheels", "fault", "1.0", newer, tag="cp311-cp311-linux_armv7l")
    assert not loaded_faults(fitting, debian, tmp_path / "new", runner)
