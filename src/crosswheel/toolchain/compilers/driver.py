"""The compiler that build backends see: GCC's command line in front, ``zig cc`` or an SDK's GCC behind.

Run as a script, once per compiler call, so it imports next to nothing. The tools that
:mod:`crosswheel.toolchain.compilers.zig` and :mod:`crosswheel.toolchain.compilers.sdk` write call it as::

    python -ISs driver.py zig {cc|c++} ZIG TRIPLE CPU -- ARGUMENT...
    python -ISs driver.py gcc {cc|c++} GCC GXX PREFIX-MAP-OPTION -- ARGUMENT...

Environment: ``CROSSWHEEL_OPTIMIZE`` replaces every ``-O`` level; ``CROSSWHEEL_PREFIX_MAP`` lists folders that must not
be named in what is compiled, each with what is named instead (``folder=name``; the last one that fits);
``CROSSWHEEL_COMPAT`` is an archive to link last; ``CROSSWHEEL_EMULATOR`` is the program by which a configure script's
probe, always called conftest, runs on this machine; ``CROSSWHEEL_LINKS`` is a folder for records of what was linked.
"""

from __future__ import annotations

import os
import sys

# Meson asks who links, and does not know zig.
LINKER = "LLD 20.1.0 (compatible with GNU linkers)"
_CXX_SUFFIXES = (".cc", ".cpp", ".cxx", ".c++", ".C", ".CPP", ".ii", ".mm")
_ASSEMBLER_SUFFIXES = (".s", ".S")
_SOURCE_SUFFIXES = (*_CXX_SUFFIXES, *_ASSEMBLER_SUFFIXES, ".c", ".m", ".i")
_CXX_STANDARDS = ("-std=c++", "-std=gnu++")
# The CPU is the target's, which zig is told and an SDK's GCC knows; what a build asks for is the host's, or a guess.
_CPU_FLAGS = (
    "-march=", "-mcpu=", "-mtune=", "-mfpu=", "-mfloat-abi=", "-mabi=", "--target=", "-msse", "-mssse", "-mavx",
    "-mfma", "-mf16c", "-mbmi", "-maes", "-mpclmul", "-mpopcnt",
)  # fmt: skip
_CPU_WORDS = ("-m32", "-m64", "-mthumb", "-marm", "-mx32")
# Options that name folders; those of the machine that builds hold what is for the wrong machine.
_FOLDER_FLAGS = ("-I", "-L", "-isystem", "-idirafter", "-iquote")
_FOLDER_NAMES = ("include", "lib", "lib32", "lib64", "libx32")
_RPATH_OPTIONS = ("-rpath", "--rpath", "-R")
# GCC and ld options without a counterpart in zig's linker; each only shrinks or orders what is linked.
_LINKER_OPTIONS = (
    "-Wl,--exclude-libs", "-Wl,-Bsymbolic", "-Wl,--no-undefined-version", "-Wl,-z,pack-relative-relocs",
    "-Wl,--hash-style", "-Wl,--sort-", "-Wl,--add-needed", "-Wl,--no-add-needed", "-Wl,--no-copy-dt-needed-entries",
    "-Wl,-O", "-Wl,--warn-", "-Wl,--stats", "-Wl,-rpath-link", "-Wl,--disable-auto-image-base",
)  # fmt: skip
# Optimised by zig at link time, an exception is not caught on 32-bit ARM; nor does it know all that GCC says of it.
_LINK_TIME = "-flto"
_GCC_WORDS = (
    "-fno-semantic-interposition",
    "-ffat-lto-objects",
    "-fuse-linker-plugin",
    "-pipe",
    "-static-libgcc",
)
# What Clang takes for an error, and GCC, with which official wheels are made, warns of: on a 32-bit machine, many a
# size is narrower than its author's; and a callback may take another pointer than its type says.
_WARNINGS = {"c++": "-Wno-error=c++11-narrowing", "cc": "-Wno-error=incompatible-function-pointer-types"}
_PROBE = "conftest"
_NOT_LINKING = ("-c", "-S", "-E", "-M", "-MM", "-fsyntax-only")


def translate(words: list[str], language: str, behind: str = "zig") -> tuple[str, list[str]]:
    """Return the language (``cc`` or ``c++``) and the arguments that the compiler behind shall get.

    Args:
        words: a command line of GCC's.
        language: what the tool that was called is for.
        behind: ``zig`` or ``gcc``.
    """
    words = expanded(words)
    language = "c++" if language == "c++" or _is_cxx(words) else "cc"
    kept = [word for word in _without_host(words) if not _is_dropped(word, behind)]
    if behind == "zig":
        kept = _without_other_standards(kept, language)
    links_only = behind == "zig" and _links_only(kept)
    if links_only:
        # zig compiles its C++ library once for each level, a minute each; what is linked here is compiled already.
        kept = [word for word in kept if not word.startswith("-O")]
    # In front: what the build itself says of warnings comes after it.
    warnings = [_WARNINGS[language]] if behind == "zig" and not links_only else []
    return language, [*warnings, *kept, *_added(kept, behind, None if links_only else _optimize())]


def _without_host(words: list[str]) -> list[str]:
    """Leave out folders of the machine that builds; a library of it that is named by its path becomes a name."""
    kept = []
    remaining = iter(words)
    for word in remaining:
        if word in _FOLDER_FLAGS:
            folder = next(remaining, "")
            kept += [] if _is_left_out(f"{word} {folder}", folder) else [word, folder]
        elif word.startswith(_FOLDER_FLAGS):
            kept += [] if _is_left_out(word, _folder_in(word)) else [word]
        elif word.startswith("-Wl,"):
            if word[len("-Wl,") :] in _RPATH_OPTIONS:  # libtool gives the folder in a word of its own
                word += next(remaining, "")[len("-Wl") :]
            linker = _linker_words(word.split(",")[1:])
            kept += [",".join(["-Wl", *linker])] if linker else []
        else:
            kept.append(_library_name(word))
    return kept


def _is_left_out(option: str, folder: str) -> bool:
    if not _is_of_host(folder):
        return False
    _warn(f"left out {option}: a folder of the machine that builds")
    return True


def _linker_words(words: list[str]) -> list[str]:
    """Leave out of words for the linker where the target would look for libraries: it has other folders."""
    kept = []
    remaining = iter(words)
    for word in remaining:
        if word in _RPATH_OPTIONS:
            word = f"{word}={next(remaining, '')}"
        option, _, folder = word.partition("=")
        if (option in _RPATH_OPTIONS and folder.startswith("/")) or word.startswith("-R/"):
            _warn(f"left out {word}: a folder of the machine that builds")
        elif not (word.startswith("-L") and _is_left_out(word, word[2:])):
            kept.append(word)
    return kept


def _library_name(word: str) -> str:
    """Return ``-lz`` for ``/usr/lib/libz.so.1``: the target's library is meant, and has to be found as such."""
    folder, _, name = word.rpartition("/")
    base = name[: -len(".a")] if name.endswith(".a") else name.partition(".so")[0]
    if not (word.startswith("/") and name.startswith("lib") and base != name and _is_of_host(folder)):
        return word
    _warn(f"took -l{base[len('lib') :]} for {word}: a library of the machine that builds")
    return f"-l{base[len('lib') :]}"


def expanded(words: list[str]) -> list[str]:
    """Replace response files (``@file``), which cargo writes for long command lines, by what they hold."""
    expansion = []
    for word in words:
        if word.startswith("@") and os.path.isfile(word[1:]):  # noqa: PTH113 - pathlib would double the start-up time
            import shlex

            with open(word[1:]) as stream:  # noqa: PTH123
                expansion += shlex.split(stream.read())
        else:
            expansion.append(word)
    return expansion


def _is_cxx(words: list[str]) -> bool:
    # Old setuptools hands C++ sources to CC, and links C++ objects with it.
    if "-lstdc++" in words or any(a == "-x" and b == "c++" for a, b in zip(words, words[1:])):
        return True
    return any(source.endswith(_CXX_SUFFIXES) for source in _sources(words))


def _folder_in(word: str) -> str:
    flag = next(flag for flag in _FOLDER_FLAGS if word.startswith(flag))
    return word[len(flag) :]


def _is_of_host(folder: str) -> bool:
    """Return whether a folder is one of this machine's own, such as /usr/local/include or /opt/vendor/lib.

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


def _is_dropped(word: str, behind: str) -> bool:
    if word.startswith(_CPU_FLAGS) or word in _CPU_WORDS:
        return True
    if behind == "zig" and (
        word.startswith(_LINKER_OPTIONS) or word.startswith(_LINK_TIME) or word in _GCC_WORDS
    ):
        return True
    if word.startswith("-g") and not word.startswith("-gnu"):
        return True  # nothing is debugged on the robot; see also -s below
    return word.startswith("-O") and _optimize() is not None


def _optimize() -> str | None:
    """Return the level that replaces every other, if a recipe gives one."""
    return os.environ.get("CROSSWHEEL_OPTIMIZE")


def _links_only(words: list[str]) -> bool:
    """Return whether a call of a compiler links what others compiled."""
    if any(word in _NOT_LINKING for word in words) or "-x" in words:
        return False
    return not _sources(words)


def _sources(words: list[str]) -> list[str]:
    return [word for word in words if word.endswith(_SOURCE_SUFFIXES) and not word.startswith("-")]


def _without_other_standards(words: list[str], language: str) -> list[str]:
    """Leave out the standard of a language that no source is in, which builds give all their files.

    GCC warns of it. Clang stops, and reads even comments of assembler by a standard of C++: an apostrophe is an error.
    """
    sources = _sources(words)
    if not sources or "-x" in words:
        return words
    if all(source.endswith(_ASSEMBLER_SUFFIXES) for source in sources):
        return [word for word in words if not word.startswith("-std=")]
    is_cxx = language == "c++"
    return [
        word for word in words if not word.startswith("-std=") or word.startswith(_CXX_STANDARDS) == is_cxx
    ]


def _added(words: list[str], behind: str, optimize: str | None) -> list[str]:
    added = ["-g0"]
    if behind == "zig":
        added.append("-fno-sanitize=all")  # its default, made for development, traps undefined behaviour
    if optimize:
        added.append(f"-O{optimize}")
    elif not any(word.startswith("-O") for word in words):
        added.append("-O2")  # without any level both build for debugging
    if not any(word in _NOT_LINKING for word in words):
        added.append("-s")
        compat = os.environ.get("CROSSWHEEL_COMPAT")
        if compat:
            # Against -Bsymbolic: archives made for position-independent *executables* link into a shared object too.
            added += [*(["-x", "none"] if "-x" in words else []), compat, "-Wl,-Bsymbolic"]
    return added


def _warn(text: str) -> None:
    print(f"crosswheel: {text}", file=sys.stderr)


def prefix_map(option: str) -> list[str]:
    """Return the options by which a compiler leaves this machine's folders out of what it writes."""
    return [
        f"{option}={pair}" for pair in os.environ.get("CROSSWHEEL_PREFIX_MAP", "").split(os.pathsep) if pair
    ]


def _zig(language: str, front: list[str], words: list[str]) -> None:
    zig, triple, cpu = front
    if "-Wl,--version" in words:
        print(LINKER)
        return
    flags = ["-target", triple, f"-mcpu={cpu}", *prefix_map("-ffile-prefix-map")]
    if "-" not in words:
        language, translated = translate(words, language)
        _become([zig, language, *flags, *translated], "zig")
    import tempfile  # late: it takes longer to start than all else here

    # What it reads from standard input, it passes to clang without the target's flags.
    with tempfile.NamedTemporaryFile("w", suffix=".cpp" if language == "c++" else ".c") as stream:
        stream.write(sys.stdin.read())
        stream.flush()
        language, translated = translate([stream.name if word == "-" else word for word in words], language)
        sys.exit(os.spawnv(os.P_WAIT, zig, [zig, language, *flags, *translated]))


def _gcc(language: str, front: list[str], words: list[str]) -> None:
    gcc, gxx, option = front
    language, translated = translate(words, language, "gcc")
    _become([gxx if language == "c++" else gcc, *prefix_map(option), *translated], "gcc")


def is_probe(words: list[str]) -> bool:
    """Return whether a configure script links a program that it may want to run."""
    linked = ("-o", _PROBE) in zip(words, words[1:]) and "-shared" not in words
    return linked and not any(word in _NOT_LINKING for word in words)


def is_link(words: list[str]) -> bool:
    """Return whether a call of a compiler links something, and does not only ask or compile."""
    return "-o" in words and not any(word in _NOT_LINKING for word in words)


def _become(words: list[str], behind: str) -> None:
    """Become the compiler; what it makes as a configure script's probe is then run by the emulator."""
    emulator = os.environ.get("CROSSWHEEL_EMULATOR")
    probe = is_probe(words)
    if "CROSSWHEEL_LINKS" in os.environ and not probe and is_link(words):
        package = os.path.abspath(os.path.join(__file__, *[os.pardir] * 4))  # noqa: PTH100, PTH118
        sys.path.insert(0, package)  # isolated, Python does not look there by itself
        from crosswheel.toolchain.compilers.link_map import run_linker

        sys.exit(run_linker(words, behind))
    if not (emulator and probe):
        os.execv(words[0], words)
    code = os.spawnv(os.P_WAIT, words[0], words)
    if code == 0:
        import shlex

        # Its other name is one that configure scripts remove as well.
        target_file = os.path.abspath(f"{_PROBE}.target")  # noqa: PTH100 - pathlib would double the start-up time
        os.replace(_PROBE, target_file)  # noqa: PTH105
        with open(os.open(_PROBE, os.O_WRONLY | os.O_CREAT, 0o777), "w") as stream:  # noqa: PTH123
            stream.write(f'#!/bin/sh\nexec {shlex.quote(emulator)} {shlex.quote(target_file)} "$@"\n')
    sys.exit(code)


def main(arguments: list[str]) -> None:
    """Become the compiler behind, with the arguments translated."""
    end = arguments.index("--")
    behind, language, *front = arguments[:end]
    (_zig if behind == "zig" else _gcc)(language, front, arguments[end + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
