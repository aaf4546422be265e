"""zig's lists of what each glibc offers, read as they are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.errors import ToolchainError
from crosswheel.toolchain.compilers.glibc import GlibcSymbol, first_versions, glibc_symbols
from crosswheel.toolchain.compilers.zig import zig_folder

ARM = glibc_symbols(zig_folder(), "arm-linux-gnueabihf")


def named(name: str) -> set[GlibcSymbol]:
    return {symbol for symbol in ARM if symbol.name == name}


def test_the_library_and_the_versions_of_a_symbol_are_told() -> None:
    assert named("gettid") == {GlibcSymbol("gettid", "c", ("2.30",))}
    assert named("dlopen") == {GlibcSymbol("dlopen", "c", ("2.34",)), GlibcSymbol("dlopen", "dl", ("2.4",))}
    assert named("fcntl64") == {GlibcSymbol("fcntl64", "c", ("2.28",))}
    assert named("environ") == {
        GlibcSymbol("environ", "c", ("2.4",))
    }  # data, of which the size is told as well
    assert named("__tls_get_addr") == {GlibcSymbol("__tls_get_addr", "ld", ("2.4",))}
    assert {symbol.library for symbol in ARM} == {"c", "m", "ld", "resolv", "pthread", "dl", "rt", "util"}


def test_the_first_version_is_compared_as_a_number() -> None:
    first = first_versions(ARM)
    assert (first["gettid"], first["dlopen"], first["powf"]) == ("2.30", "2.4", "2.4")


def test_each_machine_has_its_own() -> None:
    aarch64 = glibc_symbols(zig_folder(), "aarch64-linux-gnu")
    assert GlibcSymbol("environ", "c", ("2.17",)) in aarch64
    assert glibc_symbols(zig_folder(), "pdp11-linux-gnu") == ()


@pytest.mark.parametrize("more", [b"", b"more"])
def test_a_format_that_is_not_known_is_an_explained_error(tmp_path: Path, more: bytes) -> None:
    lists = Path("lib", "libc", "glibc", "abilists")
    data = (zig_folder() / lists).read_bytes()
    (tmp_path / lists).parent.mkdir(parents=True)
    (tmp_path / lists).write_bytes(data + more if more else data[:-1000])
    with pytest.raises(ToolchainError, match="lists of glibc's symbols cannot be read"):
        glibc_symbols(tmp_path, "arm-linux-gnueabihf")
    with pytest.raises(ToolchainError):
        glibc_symbols(tmp_path / "nowhere", "arm-linux-gnueabihf")
