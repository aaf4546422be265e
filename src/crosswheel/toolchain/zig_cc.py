"""The compiler that build backends see: GCC's command line in front, ``zig cc`` behind.

Run as a script, once per compiler call, so it imports next to nothing. The tools that
:mod:`crosswheel.toolchain.zig` writes call it as::

    python -ISs zig_cc.py ZIG {cc|c++} TRIPLE CPU ARGUMENT...

Environment: ``CROSSWHEEL_OPTIMIZE`` replaces every ``-O`` level; ``CROSSWHEEL_PREFIX_MAP`` is a folder that
must not be named in what is compiled; ``CROSSWHEEL_COMPAT`` is an archive to link last.
"""

from __future__ import annotations

import os
import sys
import tempfile

_CXX_SUFFIXES = (".cc", ".cpp", ".cxx", ".c++", ".C", ".CPP", ".mm")
_SOURCE_SUFFIXES = (*_CXX_SUFFIXES, ".c", ".s", ".S", ".m", ".i", ".ii")
# The CPU is the target's; GCC's spellings of it are refused by zig, and the host's would be wrong.
_CPU_FLAGS = (
    "-march=", "-mcpu=", "-mtune=", "-mfpu=", "-mfloat-abi=", "-mabi=", "--target=", "-msse", "-mssse", "-mavx",
    "-mfma", "-mf16c", "-mbmi", "-maes", "-mpclmul", "-mpopcnt",
)  # fmt: skip
_CPU_WORDS = ("-m32", "-m64", "-mthumb", "-marm", "-mx32")
# Options that name folders; those of the machine that builds hold what is for the wrong machine.
_FOLDER_FLAGS = ("-I", "-L", "-isystem", "-idirafter", "-iquote")
_FOLDER_NAMES = ("include", "lib", "lib32", "lib64", "libx32")
# GCC and ld options without a counterpart in zig's linker; each only shrinks or orders what is linked.
_LINKER_OPTIONS = (
    "-Wl,--exclude-libs", "-Wl,-Bsymbolic", "-Wl,--no-undefined-version", "-Wl,-z,pack-relative-relocs",
    "-Wl,--hash-style", "-Wl,--sort-", "-Wl,--add-needed", "-Wl,--no-add-needed", "-Wl,--no-copy-dt-needed-entries",
    "-Wl,-O", "-Wl,--warn-", "-Wl,--stats", "-Wl,-rpath-link", "-Wl,--disable-auto-image-base",
)  # fmt: skip
_GCC_WORDS = (
    "-fno-semantic-interposition",
    "-ffat-lto-objects",
    "-fuse-linker-plugin",
    "-pipe",
    "-static-libgcc",
)


def translate(words: list[str], language: str) -> tuple[str, list[str]]:
    """Return the driver (``cc`` or ``c++``) and the arguments that zig shall get for GCC's ``words``."""
    words = _expanded(words)
    driver = "c++" if language == "c++" or _is_cxx(words) else "cc"
    kept = []
    skip_next = False
    for i, word in enumerate(words):
        if skip_next:
            skip_next = False
            continue
        following = words[i + 1] if i + 1 < len(words) else ""
        if word in _FOLDER_FLAGS and _is_of_host(following):
            _warn(f"left out {word} {following}: a folder of the machine that builds")
            skip_next = True
        elif word.startswith(_FOLDER_FLAGS) and _is_of_host(_folder_in(word)):
            _warn(f"left out {word}: a folder of the machine that builds")
        elif not _is_dropped(word):
            kept.append(word)
    return driver, [*kept, *_added(kept)]


def _expanded(words: list[str]) -> list[str]:
    """Replace response files (``@file``), which cargo writes for long command lines, by what they hold."""
    expanded = []
    for word in words:
        if word.startswith("@") and os.path.isfile(word[1:]):  # noqa: PTH113 - pathlib would double the start-up time
            import shlex

            with open(word[1:]) as stream:  # noqa: PTH123
                expanded += shlex.split(stream.read())
        else:
            expanded.append(word)
    return expanded


def _is_cxx(words: list[str]) -> bool:
    # Old setuptools hands C++ sources to CC, and links C++ objects with it.
    if "-lstdc++" in words or any(a == "-x" and b == "c++" for a, b in zip(words, words[1:])):
        return True
    return any(word.endswith(_CXX_SUFFIXES) and not word.startswith("-") for word in words)


def _folder_in(word: str) -> str:
    flag = next(flag for flag in _FOLDER_FLAGS if word.startswith(flag))
    return word[len(flag) :]


def _is_of_host(folder: str) -> bool:
    """Tell whether a folder is one of this machine's own, such as /usr/local/include or /opt/vendor/lib.

    Not all of /usr and /opt: sources and the cache may lie there, and often do in containers.
    """
    if not folder:
        return False
    parts = os.path.abspath(folder).lstrip("/").split("/")  # noqa: PTH100 - pathlib would double the start-up time
    if parts[0] in _FOLDER_NAMES:
        return True
    if parts[0] not in ("usr", "opt") or len(parts) == 1:
        return False
    below = parts[2:] if parts[0] == "opt" or parts[1] == "local" else parts[1:]
    return any(names[:1] and names[0] in _FOLDER_NAMES for names in (parts[1:], below))


def _is_dropped(word: str) -> bool:
    if word.startswith((*_CPU_FLAGS, *_LINKER_OPTIONS)) or word in _CPU_WORDS or word in _GCC_WORDS:
        return True
    if word.startswith("-g") and not word.startswith("-gnu"):
        return True  # nothing is debugged on the robot; see also -s below
    return word.startswith("-O") and "CROSSWHEEL_OPTIMIZE" in os.environ


def _added(words: list[str]) -> list[str]:
    added = ["-g0", "-fno-sanitize=all"]  # zig's default, made for development, traps undefined behaviour
    optimize = os.environ.get("CROSSWHEEL_OPTIMIZE")
    if optimize:
        added.append(f"-O{optimize}")
    elif not any(word.startswith("-O") for word in words):
        added.append("-O2")  # without any level zig builds for debugging
    if "CROSSWHEEL_PREFIX_MAP" in os.environ:
        added.append(f"-ffile-prefix-map={os.environ['CROSSWHEEL_PREFIX_MAP']}=.")
    if not any(word in ("-c", "-S", "-E", "-M", "-MM", "-fsyntax-only") for word in words):
        added.append("-s")
        # Against -Bsymbolic: archives made for position-independent *executables* link into a shared object too.
        added += (
            [os.environ["CROSSWHEEL_COMPAT"], "-Wl,-Bsymbolic"] if "CROSSWHEEL_COMPAT" in os.environ else []
        )
    return added


def _warn(text: str) -> None:
    print(f"crosswheel: {text}", file=sys.stderr)


def _run_on_standard_input(zig: str, language: str, prefix: list[str], words: list[str]) -> int:
    """Run zig on a temporary file for the input ``-``, which it would pass to clang without the target's flags."""
    with tempfile.NamedTemporaryFile("w", suffix=".cpp" if language == "c++" else ".c") as stream:
        stream.write(sys.stdin.read())
        stream.flush()
        driver, translated = translate([stream.name if word == "-" else word for word in words], language)
        return os.spawnv(os.P_WAIT, zig, [zig, driver, *prefix, *translated])


def main(arguments: list[str]) -> None:
    """Become zig, with the arguments translated."""
    zig, language, triple, cpu, *words = arguments
    if "-Wl,--version" in words:
        print("LLD 20.1.0 (compatible with GNU linkers)")  # Meson asks who links, and does not know zig
        return
    prefix = ["-target", triple, f"-mcpu={cpu}"]
    if "-" in words:
        sys.exit(_run_on_standard_input(zig, language, prefix, words))
    driver, translated = translate(words, language)
    os.execv(zig, [zig, driver, *prefix, *translated])


if __name__ == "__main__":
    main(sys.argv[1:])
