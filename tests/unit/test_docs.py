"""The documents tell the truth: what they link to, name and show is there."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import get_args

import click
import pytest
import typer.main
from pydantic import BaseModel

from crosswheel import targets
from crosswheel.cli import app
from crosswheel.recipes.api import PackageBuild
from crosswheel.recipes.loader import load_file, shipped_helpers
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.libraries.linking import known_libraries

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_group(app)
SHIPPED = shipped_helpers()
COMMANDS.list_commands(typer.Context(COMMANDS))  # imports them all


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Return the ids that headings get on GitHub."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    found = re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if not link.startswith(("http://", "https://", "mailto:"))]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(link)
    assert not broken


def every_command(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if hasattr(command, "commands"):
            yield from every_command(command)  # type: ignore[arg-type]


def command_lines(page: Path) -> Iterator[list[str]]:
    """Give the words after ``crosswheel``, or ``build`` and those after ``./build-packages``, of each line of code."""
    text = page.read_text()
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    for line in lines:
        match = re.match(r"\s*(?:\$ )?(?:\w+=\S+ )*((?:\S*/)?(?:crosswheel|build-packages))(?: (.*))?$", line)
        if match is None:
            continue
        words = shlex.split(match[2] or "", comments=True)
        if match[1].endswith("build-packages"):
            yield ["build", *words]
        elif words:
            yield words


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_and_option_exists(page: Path) -> None:
    unknown = []
    for name, *words in command_lines(page):
        command = COMMANDS if name.startswith("-") else COMMANDS.commands.get(name)
        if hasattr(command, "commands") and words and not words[0].startswith("-"):
            command, name = command.commands.get(words[0]), f"{name} {words[0]}"
        if command is None:
            unknown.append(name)
            continue
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        options = (
            word.split("=")[0] for word in takewhile("--".__ne__, [name, *words]) if word.startswith("-")
        )
        unknown += [f"{name} {option}" for option in options if option not in known]
    assert not unknown


@pytest.mark.parametrize("page", ["recipes.md", "targets.md", "how-it-works.md"])
def test_an_option_named_alone_belongs_to_a_command(page: str) -> None:
    known = {o for command in every_command(COMMANDS) for parameter in command.params for o in parameter.opts}
    assert not set(re.findall(r"`(--[a-z][a-z-]+)`", read(page))) - known


def test_every_command_is_documented() -> None:
    documented = {words[0] for page in PAGES for words in command_lines(page)}
    assert sorted(set(COMMANDS.commands) - documented) == []


@pytest.mark.parametrize(
    "method", ["build_package", "folder_source", "github_source", "pypi_source", "git_source", "url_source"]
)
def test_every_keyword_of_a_recipe_is_documented(method: str) -> None:
    text = read("recipes.md")
    keywords = {
        name for name in inspect.signature(getattr(PackageBuild, method)).parameters if name != "self"
    }
    in_tables = {
        name for row in re.findall(r"^\|([^|]*)", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    # Those of the smaller sources are named in a sentence.
    sentence = re.search(rf"^`{method}\((.*?)\)` .*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)
    in_sentence = set(re.findall(r"\w+", sentence[0])) if sentence else set()
    assert not keywords - (in_tables if method == "build_package" else in_tables | in_sentence)


def keys(model: type[BaseModel]) -> Iterator[str]:
    """Give the keys of a table and of the tables in it."""
    for name, field in model.model_fields.items():
        yield name
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind)


def test_every_key_of_a_target_is_documented() -> None:
    text = read("targets.md")
    in_tables = {
        name for row in re.findall(r"^\|([^|]*)", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    nested = set(re.findall(r"`\[(\w+)\]`", text)) | {"classifier", "sha256"}
    assert sorted(set(keys(Target)) - in_tables - nested) == []


def test_every_c_library_is_documented() -> None:
    assert not [name for name in known_libraries() if f"`{name}`" not in read("recipes.md")]


def test_every_variable_that_is_read_is_documented() -> None:
    asked: list[str] = []

    class Listening(dict[str, str]):
        def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
            asked.append(name)
            return default

    Settings.from_environment(Listening())
    only_of_a_run = {"gateway", "extra_registries"}
    assert len(asked) >= len({field.name for field in dataclasses.fields(Settings)} - only_of_a_run)
    assert not [name for name in asked if f"`{name}`" not in read("how-it-works.md")]


def examples() -> list[tuple[str, str]]:
    """Return the recipes in recipes.md: where each lies, and its text."""
    blocks = [block for language, block in FENCE.findall(read("recipes.md")) if language == "python"]
    first = (re.match(r"# (packages/\S+/build\.py)\n", block) for block in blocks)
    return [(match[1], block) for match, block in zip(first, blocks) if match]


@pytest.mark.parametrize(("place", "text"), examples())
def test_every_recipe_that_is_shown_can_be_read(place: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(text)
    for beside in re.findall(r'"([\w.-]+\.(?:patch|py))"', text):
        (file.parent / beside).touch()
    assert load_file(file, tmp_path / "packages", tmp_path / "dist")


@pytest.mark.parametrize(
    ("place", "text"), [(p, t) for p, t in examples() if p.count("/") == 2 and p.split("/")[1] in SHIPPED]
)
def test_a_helper_that_is_shown_says_what_the_one_that_ships_says(
    place: str, text: str, tmp_path: Path
) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(text)
    for beside in re.findall(r'"([\w.-]+\.py)"', text):
        (file.parent / beside).touch()
    (shown,) = load_file(file, tmp_path / "packages", tmp_path)
    ours = SHIPPED[shown.canonical_name]
    assert shown.model_dump(exclude={"file", "label"}) == ours.model_dump(exclude={"file", "label"})


def test_the_target_that_is_shown_is_complete(tmp_path: Path) -> None:
    (block,) = (block for language, block in FENCE.findall(read("targets.md")) if language == "toml")
    (tmp_path / "bench64.toml").write_text(block)
    assert targets.load(str(tmp_path / "bench64.toml")).name == "bench64"


def test_the_target_column_shows_what_the_file_says() -> None:
    said = targets.load("ot2").model_dump()
    for table in ("python", "abi", "toolchain"):
        for key, value in said[table].items():
            if isinstance(value, (str, int)):
                row = re.search(rf"^\| (?:`\w+`, )*`{key}`.*$", read("targets.md"), re.MULTILINE)
                assert row is not None
                assert (str(value).lower() if isinstance(value, bool) else str(value)) in row[0]
