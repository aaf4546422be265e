"""C libraries that a recipe may name: what is linked with one runs on the robot, and needs nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.check.elf import audit
from crosswheel.emulation.emulator import userland
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.libraries.linking import known_libraries, library
from crosswheel.wheels.reading import WheelFile
from support.crossing import Crossing, crossing_for, musl_here
from support.wheels import make_wheel

# How it is linked, what is included, and what of it is true.
USES = {
    "brotli": (
        "pkg-config:libbrotlienc pkg-config:libbrotlidec",
        "brotli/encode.h brotli/decode.h",
        "BrotliEncoderVersion() == BrotliDecoderVersion()",
    ),
    "bzip2": ("-lbz2", "bzlib.h", "BZ2_bzlibVersion()[0] == '1'"),
    "freetype": (
        "pkg-config:freetype2",
        "freetype/freetype.h freetype/ftmodapi.h",
        "FT_Init_FreeType(&(FT_Library){0}) == 0",
    ),
    "libbsd": ("-lbsd", "stddef.h bsd/string.h", 'strlcpy((char[8]){0}, "abc", 8) == 3'),
    "libedit": ("pkg-config:libedit", "stdio.h histedit.h", "history_init() != 0"),
    "libffi": (
        "pkg-config:libffi",
        "ffi.h",
        "ffi_prep_cif(&(ffi_cif){0}, FFI_DEFAULT_ABI, 0, &ffi_type_sint, 0) == FFI_OK",
    ),
    "libjpeg": ("-ljpeg", "stdio.h jpeglib.h", "jpeg_quality_scaling(50) == 100"),
    "libpng": ("pkg-config:libpng", "png.h", "png_access_version_number() == PNG_LIBPNG_VER"),
    "libsodium": ("pkg-config:libsodium", "sodium.h", "sodium_init() == 0"),
    "libwebp": ("pkg-config:libwebp", "webp/encode.h", "WebPGetEncoderVersion() >= 0x10000"),
    "libyaml": ("-lyaml", "yaml.h", "yaml_get_version_string()[0] == '0'"),
    "lz4": ("pkg-config:liblz4", "lz4.h", 'LZ4_compress_default("aaaa", (char[64]){0}, 4, 64) > 0'),
    "ncurses": ("pkg-config:ncursesw", "curses.h", "curses_version()[0] == 'n'"),
    "openjpeg": ("pkg-config:libopenjp2", "openjpeg-2.5/openjpeg.h", "opj_version()[0] == '2'"),
    "openssl": (
        "-lcrypto -ldl",
        "string.h openssl/evp.h openssl/provider.h",
        'OSSL_PROVIDER_load(NULL, "legacy") && EVP_MD_fetch(NULL, "MD4", NULL) && EVP_mdc2() && EVP_idea_cbc()'
        ' && !strcmp(OpenSSL_version(OPENSSL_BUILT_ON), "built on: Tue Jan  1 00:00:00 1980 UTC")',
    ),
    "qhull": ("pkg-config:qhull_r", "libqhull_r/libqhull_r.h", "qh_version[0] != 0"),
    "sqlite": ("pkg-config:sqlite3", "sqlite3.h", "sqlite3_libversion_number() == SQLITE_VERSION_NUMBER"),
    "uuid": ("pkg-config:uuid", "uuid/uuid.h", "uuid_is_null((uuid_t){0})"),
    "xz": ("pkg-config:liblzma", "lzma.h", "lzma_version_number() == LZMA_VERSION"),
    "yajl": ("pkg-config:yajl", "yajl/yajl_version.h", "yajl_version() == YAJL_VERSION"),
    "zlib": ("pkg-config:zlib", "zlib.h", 'crc32(0, (const Bytef *)"123456789", 9) == 0xcbf43926'),
    "zstd": ("pkg-config:libzstd", "zstd.h", 'ZSTD_compress((char[64]){0}, 64, "aaaa", 4, 3) > 0'),
}
_GLIBC = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-armhf.so.3"}
# Linked by packages whose recipes have tests of their own; and headers alone.
_ELSEWHERE = {"linux", "mariadb", "openblas", "pcsc"}


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("crossing"))


@pytest.mark.parametrize("name", sorted(USES))
def test_what_is_linked_with_a_library_runs_on_the_robot_alone(
    crossing: Crossing, tmp_path: Path, name: str
) -> None:
    linked, headers, truth = USES[name]
    include = "".join(f"#include <{header}>\n" for header in headers.split())
    (tmp_path / "use.c").write_text(f"{include}int main(void) {{ return !({truth}); }}\n")
    asked = [word.removeprefix("pkg-config:") for word in linked.split() if word.startswith("pkg-config:")]
    found = f"$(pkg-config --cflags --libs {' '.join(asked)})" if asked else linked
    environment = crossing.environment(libraries=[name])
    assert all(library.licences for library in environment.libraries)
    env = environment.for_hook(tmp_path / "venv", tmp_path, {})
    crossing.runner.run(
        ["sh", "-ec", f"$CC use.c -o use $CFLAGS $LDFLAGS {found} -lm -lpthread"], cwd=tmp_path, env=env
    )
    crossing.runner.run([*crossing.emulator.prefix, tmp_path / "use"], cwd=tmp_path)
    wheel = make_wheel(
        tmp_path, "use", "1.0", {"use": (tmp_path / "use").read_bytes()}, tag="cp310-cp310-linux_armv7l"
    )
    (audited,), faults = audit(WheelFile.open(wheel), crossing.target, crossing.system)
    assert not faults
    assert set(audited.needed) <= _GLIBC


@pytest.mark.parametrize("target", ["debian-armel", "debian-s390x"])
def test_openssl_runs_on_a_machine_of_another_kind(tmp_path: Path, target: str) -> None:
    """Its build names each kind by words of its own; one has no atomic instructions, and one is big-endian."""
    _, headers, truth = USES["openssl"]
    include = "".join(f"#include <{header}>\n" for header in [*headers.split(), "openssl/ssl.h"])
    truth = (
        f"SSL_CTX_new(TLS_method()) && {truth}"  # one provider that is loaded takes the place of all others
    )
    (tmp_path / "use.c").write_text(f"{include}int main(void) {{ return !({truth}); }}\n")
    crossing = crossing_for(tmp_path, target)
    env = crossing.environment(libraries=["openssl"]).for_hook(tmp_path / "venv", tmp_path, {})
    linked = "$CC use.c -o use $CFLAGS $LDFLAGS -lssl -lcrypto -ldl -lpthread"
    crossing.runner.run(["sh", "-ec", linked], cwd=tmp_path, env=env)
    assert crossing.runner.run([*crossing.emulator.prefix, tmp_path / "use"], check=False).returncode == 0


def test_what_edits_lines_and_draws_on_a_terminal_links(crossing: Crossing, tmp_path: Path) -> None:
    """Debian has ncurses narrow and wide, which define the same: libedit brings one of them, as CPython needs."""
    (tmp_path / "use.c").write_text(
        "#define NCURSES_WIDECHAR 1\n#include <stdio.h>\n#include <histedit.h>\n#include <curses.h>\n"
        "#include <term.h>\n"
        "void *volatile used[] = {el_init, history_init, initscr, endwin, addwstr, get_wch, unget_wch, setupterm,\n"
        "  tigetstr, getstr, getwin, putwin, wborder, wgetn_wstr, keyname, key_name, mvwin, copywin};\n"
        "int main(void) { return used[0] == NULL; }\n"
    )
    env = crossing.environment(libraries=["libedit"]).for_hook(tmp_path / "venv", tmp_path, {})
    linked = "$(pkg-config --cflags --libs libedit ncursesw)"
    crossing.runner.run(
        ["sh", "-ec", f"$CC use.c -o use $CFLAGS $LDFLAGS {linked} -lm -lpthread"], cwd=tmp_path, env=env
    )
    crossing.runner.run([*crossing.emulator.prefix, tmp_path / "use"], cwd=tmp_path)


@pytest.mark.parametrize("name", sorted(name for name, spec in known_libraries().items() if spec.built))
def test_what_is_linked_with_a_library_runs_on_a_machine_with_musl(
    crossing: Crossing, tmp_path: Path, name: str
) -> None:
    """Debian's archives are for glibc: these are compiled."""
    _, headers, truth = USES[name]
    target, cache = musl_here(), crossing.settings.cache
    compilers = zig_compilers(target, cache)
    prefix = library(name, target, compilers, crossing.settings, crossing.runner).prefix
    include = "".join(f"#include <{header}>\n" for header in headers.split())
    (tmp_path / "use.c").write_text(f"{include}int main(void) {{ return !({truth}); }}\n")
    archives = sorted((prefix / "lib").glob("*.a"))
    compilers.run(
        ["cc", "use.c", f"-I{prefix}/include", *archives, "-o", "use"], crossing.runner, cwd=tmp_path
    )
    loader = userland(target, crossing.settings, crossing.runner) / "lib" / f"ld-musl-{target.machine}.so.1"
    assert crossing.runner.run([loader, tmp_path / "use"], check=False).returncode == 0


def test_every_library_that_is_taken_is_tried() -> None:
    taken = {name for name, spec in known_libraries().items() if spec.packages or spec.prebuilt}
    assert taken == USES.keys() | _ELSEWHERE
