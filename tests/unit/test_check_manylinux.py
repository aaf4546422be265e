"""The oldest manylinux policy that a wheel keeps: what it may need of other systems. The objects are real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check.manylinux import PolicyVerdict, oldest_policy, release_target
from crosswheel.errors import TargetError
from crosswheel.wheels.reading import WheelFile
from support.objects import Compiler
from support.wheels import make_wheel

OT2 = targets.load("ot2")


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("zig"))


def judged(folder: Path, object_: bytes, target: targets.Target = OT2, **bundled: bytes) -> PolicyVerdict:
    files = {"pkg/m.so": object_, **{f"pkg/{name}.so.1": data for name, data in bundled.items()}}
    wheel = make_wheel(folder, "pkg", "1.0", files, tag="cp310-cp310-linux_armv7l")
    return oldest_policy(WheelFile.open(wheel), target)


def module(compiler: Compiler, library: str, symbol: str, version: str) -> bytes:
    """Return a module that needs a symbol of a version."""
    (compiler.folder / "versions").write_text(f"{version} {{ global: {symbol}; }};")
    flags = (f"-Wl,-soname,{library}", "-Wl,--version-script=versions")
    compiler.shared(f"int {symbol}(void) {{ return 0; }}", *flags, name=library)
    source = f"int {symbol}(void); int PyInit_m(void) {{ return {symbol}(); }}"
    return compiler.shared(source, f"-l:{library}", "-L.")


@pytest.mark.parametrize(
    ("library", "version", "platform"),
    [
        ("libc.so.6", "GLIBC_2.4", "manylinux_2_17_armv7l"),
        ("libc.so.6", "GLIBC_2.18", "manylinux_2_18_armv7l"),
        ("libc.so.6", "GLIBC_2.25", "manylinux_2_25_armv7l"),
        ("libstdc++.so.6", "GLIBCXX_3.4.19", "manylinux_2_17_armv7l"),
        ("libstdc++.so.6", "CXXABI_1.3.9", "manylinux_2_24_armv7l"),
    ],
)
def test_the_tag_is_that_of_the_oldest_system_which_has_all_that_is_needed(
    compiler: Compiler, tmp_path: Path, library: str, version: str, platform: str
) -> None:
    assert judged(tmp_path, module(compiler, library, "f", version)) == PolicyVerdict(platform)


def test_a_library_that_not_every_system_has_is_named_unless_the_wheel_brings_it(
    compiler: Compiler, tmp_path: Path
) -> None:
    needing = module(compiler, "libssl.so.1", "SSL_new", "OPENSSL_1_1_0")
    verdict = judged(tmp_path, needing)
    assert verdict.platform is None
    assert "libssl.so.1, which is not on the list of manylinux_2_25" in verdict.faults[0].message
    own = (compiler.folder / "libssl.so.1").read_bytes()
    assert judged(tmp_path, needing, libssl=own).platform == "manylinux_2_17_armv7l"


def test_a_symbol_newer_than_every_tag_that_the_target_installs_is_named(
    compiler: Compiler, tmp_path: Path
) -> None:
    verdict = judged(tmp_path, module(compiler, "libstdc++.so.6", "g", "GLIBCXX_3.4.25"))
    assert verdict.platform is None
    assert verdict.faults[0].message.startswith(
        "it needs GLIBCXX_3.4.25 of libstdc++.so.6 (for g), and manylinux_2_25"
    )


def test_what_systems_of_the_oldest_tags_lack_without_saying_so_makes_it_a_later_one(
    compiler: Compiler, tmp_path: Path
) -> None:
    source = "int __cxa_thread_atexit_impl(void); int PyInit_m(void) { return __cxa_thread_atexit_impl(); }"
    assert judged(tmp_path, compiler.shared(source)).platform == "manylinux_2_18_armv7l"


def test_what_is_for_a_registry_is_compiled_for_every_cpu_of_its_kind() -> None:
    assert OT2.toolchain.cpu == "cortex_a7"
    assert release_target(OT2).toolchain.cpu == targets.load("debian-armhf").toolchain.cpu
    assert release_target(targets.load("flex")).toolchain.cpu_model == ""
    newer = targets.load(
        "debian-armhf"
    )  # whose own glibc would give pthread_create a version that old systems lack
    assert (newer.linked_glibc, release_target(newer).linked_glibc) == ("2.36", "2.17")
    with pytest.raises(TargetError, match="no manylinux tag for armv5tel"):
        release_target(targets.load("debian-armel"))
