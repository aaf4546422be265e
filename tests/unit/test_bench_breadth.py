"""docs/breadth.md is written from several runs: what this run does not know stays as the page tells it."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def breadth(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("breadth_score")


def test_the_page_that_is_there_stays_to_the_byte(
    breadth: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_of, packages = breadth.read_list()
    told = breadth.read_page(breadth.PAGE.read_text(), as_of, packages)
    monkeypatch.setattr(breadth, "PAGE", tmp_path / "breadth.md")
    breadth.write_page(as_of, packages, told)
    assert (tmp_path / "breadth.md").read_text() == (ROOT / "docs" / "breadth.md").read_text()


def test_a_row_is_replaced_by_a_new_result_alone(
    breadth: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    day = "2026-01-01"
    packages = [breadth.Wanted("one==1", 1), breadth.Wanted("two==2", 1)]
    first = breadth.Result("one==1", day, "failed", "a | b", 0, 0, 1.0)
    second = breadth.Result("two==2", day, "built", "no wheel", 1, 1, 9.0, 7.0, size=50, official_size=100)
    monkeypatch.setattr(breadth, "PAGE", tmp_path / "breadth.md")
    breadth.write_page(day, packages, {"ot2": {"one": first.row, "two": second.row}})
    again = dataclasses.replace(second, build_seconds=5.0)
    (tmp_path / breadth.RESULTS).write_text(json.dumps({"two": dataclasses.asdict(again)}))
    rows = breadth.all_rows(day, packages, {"ot2": tmp_path})["ot2"]
    assert rows == {"one": first.row, "two": breadth.Row("two==2", "built", "0.50", "5", "no wheel")}


def test_a_row_of_another_release_or_day_is_not_known(
    breadth: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = breadth.Result("one==1", "2026-01-01", "failed", "", 0, 0, 1.0).row
    monkeypatch.setattr(breadth, "PAGE", tmp_path / "breadth.md")
    breadth.write_page("2026-01-01", [breadth.Wanted("one==1", 1)], {"ot2": {"one": row}})
    page = breadth.PAGE.read_text()
    assert breadth.read_page(page, "2026-01-01", [breadth.Wanted("one==2", 1)]) == {"ot2": {}}
    assert breadth.read_page(page, "2026-01-02", [breadth.Wanted("one==1", 1)]) == {}


def test_a_recipe_that_only_has_tests_is_told_apart(breadth: ModuleType) -> None:
    names = ("greenlet", "ruamel-yaml-clib", "msgpack")
    rows = [breadth.Row(f"{name}==1", "built", "", "", "") for name in names]
    assert "1 of those that were built have a recipe that says how they are built, of " in breadth.score(rows)
    assert "; 1 others have one that only says how they are tested." in breadth.score(rows)


def test_the_page_names_no_folder_of_a_machine(breadth: ModuleType) -> None:
    said = 'File "/home/me/code/bench/smoke/test_one.py" and /home/me/code/build/breadth/ot2/one fail'
    row = breadth.Result("one==1", "2026-01-01", "failed", said, 0, 0, 1.0).row
    assert row.why == 'File "bench/smoke/test_one.py" and build/breadth/ot2/one fail'
