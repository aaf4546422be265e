"""The workflows: sound by actionlint, every action pinned, every permission stated."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program: the one that is installed, or one that Go builds."""
    installed = shutil.which("actionlint")
    if installed:
        return installed
    go = shutil.which("go")
    if go is None:
        reason = "there is neither actionlint on PATH, nor Go to build it"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = tmp_path_factory.mktemp("go")
    subprocess.run([go, "install", ACTIONLINT], env={**os.environ, "GOBIN": str(folder)}, check=True)
    return str(folder / "actionlint")


def test_actionlint_finds_nothing(actionlint: str) -> None:
    result = subprocess.run([actionlint, "-no-color"], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_nothing_is_permitted_by_default(workflow: Path) -> None:
    text = workflow.read_text()
    for used in re.findall(r"uses: (.+)", text):
        assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", used), used
    assert "\npermissions: {}\n" in text
    assert "http://" not in text


def test_the_action_is_what_its_schema_says_and_pins_what_it_uses() -> None:
    checker = [
        find_uv_bin(),
        "tool",
        "run",
        "check-jsonschema==0.33.3",
        "--builtin-schema",
        "vendor.github-actions",
    ]
    checked = subprocess.run([*checker, "action.yml"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    text = (ROOT / "action.yml").read_text()
    for used in re.findall(r"uses: (.+)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", used), used
    # What an input says is never part of a command.
    assert "${{ inputs." not in text.partition("run: ")[2]


def test_each_channel_is_triggered_by_its_own_references() -> None:
    triggers = {
        path.stem: path.read_text().partition("\non:")[2].partition("\npermissions")[0] for path in WORKFLOWS
    }
    assert "branches-ignore: [main]" in triggers["development"]
    assert "branches: [main]" in triggers["staging"]
    assert 'tags: ["packages@v*"]' in triggers["production"]
    assert "tags" not in triggers["development"] + triggers["staging"]
    assert "branches" not in triggers["production"]
