from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crosswheel.index import templates
from crosswheel.index.templates import environment


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of compiled templates, when Python may keep what it compiles."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "__pycache__"


def test_a_template_is_compiled_once(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = environment(kept).get_template("status.html")
    again = environment(kept)
    # Of a template that is kept, nothing is read but what it was compiled to.
    monkeypatch.setattr(again, "_parse", None)
    assert again.get_template("status.html").root_render_func.__code__ == first.root_render_func.__code__


def test_a_template_is_compiled_anew_by_other_code(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(kept).get_template("status.html")
    (file,) = kept.iterdir()
    before = file.read_bytes()
    other = tmp_path / "templates.py"
    other.write_text("# other options\n")
    monkeypatch.setattr(templates, "__file__", str(other))
    environment(kept).get_template("status.html")
    (file,) = kept.iterdir()
    assert file.read_bytes() != before


@pytest.mark.parametrize("forbidden", [True, False])
def test_where_nothing_can_be_kept_templates_work_all_the_same(
    kept: Path, monkeypatch: pytest.MonkeyPatch, forbidden: bool
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", forbidden)
    folder = kept if forbidden else kept / "absent" / "below"
    assert environment(folder).get_template("status.html")
    assert not kept.exists()
