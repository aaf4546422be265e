"""Read a project's settings for cibuildwheel, as far as they mean the same here.

cibuildwheel takes an option from ``[tool.cibuildwheel]``, then from its table ``linux``, then from each override whose
``select`` matches the build, then from the environment (``CIBW_…``, ``CIBW_…_LINUX``); the last one counts.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from crosswheel.errors import UsageError
from crosswheel.projects.pyproject import ProjectFolder
from crosswheel.projects.requirements_file import RequirementsContent, read_requirements
from crosswheel.targets import Target

_OTHER_PLATFORMS = ("macos", "windows", "pyodide", "ios", "android")
_READ = (
    "build", "skip", "before-build", "before-test", "test-command", "test-requires", "test-extras", "test-groups",
    "test-sources", "test-skip", "environment", "config-settings",
)  # fmt: skip
_STRUCTURE = ("linux", "overrides", *_OTHER_PLATFORMS)
# A setting of pip's own may come before it.
_PIP_INSTALL = re.compile(
    r"(?:PIP_\w+=\S* )*(?:python3? -m )?pip3? install(?: -U| --upgrade)?((?: [^-\s]\S*)+)"
)


@dataclass(frozen=True)
class CibuildwheelSettings:
    """What a project's settings say of one build.

    Attributes:
        identifier: what cibuildwheel calls the build, such as ``cp310-manylinux_armv7l``.
        is_selected: whether ``build`` and ``skip`` mean it.
        before_build: a shell command, without the parts that only install packages.
        build_dependencies: what those parts install.
        test_command: a shell command; empty if nothing is to be run, or ``test-skip`` means the build.
        not_honoured: the settings that nothing is made of, by name.
    """

    identifier: str
    is_selected: bool
    before_build: str = ""
    build_dependencies: tuple[str, ...] = ()
    test_command: str = ""
    test_requires: tuple[str, ...] = ()
    test_extras: tuple[str, ...] = ()
    test_sources: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    config_settings: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    not_honoured: tuple[str, ...] = ()


def settings_of(
    project: ProjectFolder, target: Target, variables: Mapping[str, str]
) -> CibuildwheelSettings | None:
    """Return what a project's settings say of its build for a target; ``None`` if it has none.

    Args:
        variables: the environment, in which ``CIBW_…`` count more than the file.

    Raises:
        UsageError: a setting has no meaning.
    """
    table = project.document.get("tool", {}).get("cibuildwheel")
    if table is None and not any(name.startswith("CIBW_") for name in variables):
        return None
    version = "".join(map(str, target.python.numbers))
    identifier = f"cp{version}-manylinux_{target.machine}"
    reader = _Reader(project.folder, table or {}, identifier, variables)
    before, dependencies = _installing(reader.command("before-build"))
    tested = not _matches(reader.words("test-skip"), identifier)
    before_test, installed = _installing(reader.command("before-test"))
    variables_set, unset = reader.environment()
    groups = [text for group in reader.words("test-groups") for text in project.group(group)]
    return CibuildwheelSettings(
        identifier,
        _matches(reader.words("build") or ["*"], identifier)
        and not _matches(reader.words("skip"), identifier),
        before,
        dependencies,
        reader.command("test-command") if tested else "",
        (*reader.requirements("test-requires"), *installed, *groups) if tested else (),
        tuple(reader.words("test-extras", separator=",")) if tested else (),
        tuple(reader.words("test-sources")) if tested else (),
        variables_set,
        reader.config_settings(),
        tuple(sorted({*reader.others(), *unset, *_not_run("before-test", before_test)})),
    )


@dataclass(frozen=True)
class _Reader:
    folder: Path
    table: Mapping[str, Any]
    identifier: str
    variables: Mapping[str, str]

    @property
    def file(self) -> Path:
        return self.folder / "pyproject.toml"

    def values(self, name: str) -> Iterator[tuple[Any, str]]:
        """Yield the values of an option, the later counts, and how each goes together with those before it."""
        for table in (self.table, self.table.get("linux", {})):
            if name in table:
                yield table[name], "none"
        for override in self.table.get("overrides", ()):
            select = override.get("select", ())
            patterns = select.split() if isinstance(select, str) else select
            if name in override and _matches(patterns, self.identifier):
                yield override[name], override.get("inherit", {}).get(name, "none")
        variable = f"CIBW_{name.upper().replace('-', '_')}"
        for key in (variable, f"{variable}_LINUX"):
            if key in self.variables:
                yield self.variables[key], "none"

    def parts(self, name: str, split: Any) -> list[Any]:
        """Return an option's items; ``split`` makes them of one value."""
        result: list[Any] = []
        for value, rule in self.values(name):
            items = split(value)
            result = {"append": [*result, *items], "prepend": [*items, *result]}.get(rule, items)
        return result

    def words(self, name: str, separator: str | None = None) -> list[str]:
        return self.parts(
            name, lambda value: list(value) if isinstance(value, list) else _split(value, separator)
        )

    def command(self, name: str) -> str:
        return " && ".join(
            self.parts(name, lambda value: value if isinstance(value, list) else [value] if value else [])
        )

    def requirements(self, name: str) -> list[str]:
        """Return requirements, each as PEP 508 has it; those of a file that is named with ``-r`` as well.

        Raises:
            UsageError: one of them is none, or a file cannot be read.
        """
        words, texts = iter(self.words(name)), list[str]()
        for word in words:
            texts += self._of_file(next(words, "")) if word in ("-r", "--requirement") else [word]
        for text in texts:
            try:
                Requirement(text)
            except InvalidRequirement as error:
                raise UsageError(
                    f"{self.file}: {name} has {text!r}, which is no requirement",
                    hint="write NAME, NAME with versions, or -r FILE.",
                ) from error
        return texts

    def _of_file(self, name: str) -> list[str]:
        """Return the requirements of a file of the project, but for its constraints."""
        path = self.folder / name
        content = read_requirements(path)
        if content is None:
            raise UsageError(
                f"{self.file}: {path} cannot be read as a file of requirements",
                hint="correct its name; it is looked for below the project's folder.",
            )
        if content != RequirementsContent(content.lines):
            raise UsageError(
                f"{self.file}: {path} has options, of which none is taken from a file of a test's requirements",
                hint="leave them out there; name a registry with --index and --from-index.",
            )
        return [f"{line.text}{line.marker}" for line in content.lines if not line.is_constraint]

    def pairs(self, name: str) -> list[tuple[str, Any]]:
        return self.parts(
            name,
            lambda value: (
                list(value.items())
                if isinstance(value, dict)
                else [(key, text) for key, _, text in (word.partition("=") for word in shlex.split(value))]
            ),
        )

    def environment(self) -> tuple[Mapping[str, str], list[str]]:
        """Return the variables that are set, and those whose value only a shell in its container could tell."""
        pairs = [(name, str(value)) for name, value in self.pairs("environment")]
        unset = [f"environment ({name})" for name, value in pairs if "$" in value or "`" in value]
        return {name: value for name, value in pairs if "$" not in value and "`" not in value}, unset

    def config_settings(self) -> Mapping[str, str | tuple[str, ...]]:
        settings: dict[str, str | tuple[str, ...]] = {}
        for name, value in self.pairs("config-settings"):
            items = tuple(map(str, value)) if isinstance(value, list) else (str(value),)
            before = settings.get(name, ())
            every = (*((before,) if isinstance(before, str) else before), *items)
            settings[name] = every[0] if len(every) == 1 else every
        return settings

    def others(self) -> Iterator[str]:
        """Yield the options that are set and of which nothing is made."""
        tables = [self.table, self.table.get("linux", {}), *self.table.get("overrides", ())]
        for name in (name for table in tables for name in table):
            if name not in (*_READ, *_STRUCTURE, "select", "inherit"):
                yield name
        for key in self.variables:
            name = key.removeprefix("CIBW_").removesuffix("_LINUX").lower().replace("_", "-")
            platform = name.rpartition("-")[2]
            if key.startswith("CIBW_") and name not in _READ and platform not in _OTHER_PLATFORMS:
                yield key


def _split(value: str, separator: str | None) -> list[str]:
    return [word for part in value.split(separator) if (word := part.strip())]


def _matches(patterns: Iterable[str], identifier: str) -> bool:
    return any(fnmatch(identifier, expanded) for pattern in patterns for expanded in _expanded(pattern))


def _expanded(pattern: str) -> Sequence[str]:
    """Return the patterns that one with braces stands for, as in a shell: ``cp3{9,10}-*``."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [one for choice in match[1].split(",") for one in _expanded(f"{before}{choice}{after}")]


def _installing(command: str) -> tuple[str, tuple[str, ...]]:
    """Return a command without the parts that only install packages, and those packages.

    They are locked as the other requirements of the build or its tests are: neither has a network.
    """
    rest, packages = [], []
    for part in filter(None, (part.strip() for part in command.split("&&"))):
        match = _PIP_INSTALL.fullmatch(" ".join(part.split()))
        names = shlex.split(match[1]) if match else []
        if names and all(map(_is_requirement, names)):
            packages += names
        else:
            rest.append(part)
    return " && ".join(rest), tuple(packages)


def _not_run(option: str, command: str) -> list[str]:
    """Return how to name a command of which nothing is made; nothing if it is empty."""
    return [f"{option} ({command})"] if command else []


def _is_requirement(text: str) -> bool:
    try:
        return bool(Requirement(text))
    except InvalidRequirement:
        return False
