"""Settings come from the environment, once, and have defaults that need no configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from crosswheel import settings as settings_module
from crosswheel.settings import Settings


def test_without_variables_the_defaults_of_the_clients_are_used() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings(cache=user_cache_path("crosswheel"), github="https://github.com")
    assert (settings.maven, settings.debian_sources, settings.offline) == (None, None, False)


def test_each_variable_moves_what_it_names() -> None:
    settings = Settings.from_environment(
        {
            "CROSSWHEEL_CACHE": "/cache",
            "CROSSWHEEL_GITHUB_URL": "http://127.0.0.1:1/github/",
            "CROSSWHEEL_MAVEN_URL": "http://127.0.0.1:1/maven",
            "CROSSWHEEL_DEBIAN_SOURCES": "/etc/sources",
            "CROSSWHEEL_DEBIAN_URL": "http://127.0.0.1:1/debian",
            "CROSSWHEEL_OFFLINE": "1",
        }
    )
    assert settings.cache == Path("/cache")
    assert settings.github == "http://127.0.0.1:1/github"
    assert settings.maven == "http://127.0.0.1:1/maven"
    assert settings.debian_sources == Path("/etc/sources")
    assert settings.debian == "http://127.0.0.1:1/debian"
    assert settings.offline


def test_the_registry_is_the_one_that_uv_or_else_pip_is_told() -> None:
    told = {}
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        told[name] = f"http://127.0.0.1/{name}"
        assert Settings.from_environment(told).registry == told[name]


def test_an_empty_variable_is_none_at_all() -> None:
    names = ("CROSSWHEEL_CACHE", "CROSSWHEEL_GITHUB_URL", "CROSSWHEEL_MAVEN_URL", "CROSSWHEEL_DEBIAN_SOURCES")
    empty = dict.fromkeys((*names, "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "CROSSWHEEL_OFFLINE"), "")
    assert Settings.from_environment(empty) == Settings.from_environment({})


def test_a_relative_cache_does_not_follow_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({"CROSSWHEEL_CACHE": "cache"}).cache == tmp_path / "cache"
    assert Settings.from_environment({"CROSSWHEEL_CACHE": "~/cache"}).cache == Path.home() / "cache"


def test_offline_can_be_switched_off() -> None:
    assert not Settings.from_environment({"CROSSWHEEL_OFFLINE": "0"}).offline


def test_every_kind_of_thing_in_the_cache_is_named_in_one_place() -> None:
    root = Path(settings_module.__file__).parent
    elsewhere = {
        str(path.relative_to(root)): line.strip()
        for path in root.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"""\bcache / ["']""", line)
    }
    assert elsewhere == {}
