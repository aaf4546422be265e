"""A project's settings for cibuildwheel mean here what they mean there, and what does not is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.errors import UsageError
from crosswheel.projects.cibuildwheel import CibuildwheelSettings, settings_of
from crosswheel.projects.pyproject import ProjectFolder


def settings(
    folder: Path, text: str, target: str = "ot2", variables: Mapping[str, str] | None = None
) -> CibuildwheelSettings:
    (folder / "pyproject.toml").write_text(f"[tool.cibuildwheel]\n{text}")
    result = settings_of(ProjectFolder(folder), targets.load(target), variables or {})
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("build = 'cp310-* cp311-*'", True),
        ("build = ['cp3{9,1{0,1}}-*']", True),
        ("build = 'cp39-*'", False),
        ("skip = '*-musllinux_* pp*'", True),
        ("skip = ['*_{armv7l,i686}']", False),
        ("build = '*linux_armv7l'\nskip = 'cp310-manylinux_armv7l'", False),
    ],
)
def test_build_and_skip_select_by_patterns(tmp_path: Path, text: str, selected: bool) -> None:
    assert settings(tmp_path, text).is_selected is selected


def test_the_platform_s_table_overrides_and_the_environment_count_in_this_order(tmp_path: Path) -> None:
    text = """
        test-command = "all"
        test-requires = ["pytest"]
        [tool.cibuildwheel.linux]
        test-command = "linux"
        [tool.cibuildwheel.macos]
        test-command = "macos"
        before-all = "brew"
        [[tool.cibuildwheel.overrides]]
        select = "*_armv7l"
        inherit.test-requires = "append"
        test-requires = ["numpy<2"]
        test-command = ["small", "pytest {project}"]
        [[tool.cibuildwheel.overrides]]
        select = "*_aarch64"
        test-command = ""
    """
    armv7l = settings(tmp_path, text)
    assert (armv7l.test_command, armv7l.test_requires) == ("small && pytest {project}", ("pytest", "numpy<2"))
    assert settings(tmp_path, text, "flex").test_command == ""
    assert settings(tmp_path, text, "debian-armel").test_command == "linux"
    variables = {"CIBW_TEST_COMMAND": "first", "CIBW_TEST_COMMAND_LINUX": "last", "CIBW_SKIP": "cp310-*"}
    changed = settings(tmp_path, text, variables=variables)
    assert (changed.test_command, changed.is_selected, changed.not_honoured) == ("last", False, ())


def test_what_a_command_only_installs_is_locked_with_the_build_and_the_rest_is_run(tmp_path: Path) -> None:
    text = "before-build = ['pip install -U cython \"numpy>=2\"', 'python {package}/make.py', 'pip install -r r.txt']"
    read = settings(tmp_path, text)
    assert read.build_dependencies == ("cython", "numpy>=2")
    assert read.before_build == "python {package}/make.py && pip install -r r.txt"


def test_what_is_installed_before_the_tests_is_required_by_them(tmp_path: Path) -> None:
    text = "test-requires = 'pytest'\nbefore-test = ['PIP_CONSTRAINT= pip install PyYAML \"six>=1\"', 'make data']"
    read = settings(tmp_path, text)
    assert read.test_requires == ("pytest", "PyYAML", "six>=1")
    assert read.not_honoured == ("before-test (make data)",)
    assert settings(tmp_path, text + "\ntest-skip = '*'").test_requires == ()


def test_settings_for_the_backend_and_its_environment_are_read_in_both_forms(tmp_path: Path) -> None:
    text = "environment = {A = 'x y', B = '1'}\nconfig-settings = {one = '1', many = ['a', 'b']}"
    read = settings(tmp_path, text)
    assert (dict(read.environment), dict(read.config_settings)) == (
        {"A": "x y", "B": "1"},
        {"one": "1", "many": ("a", "b")},
    )
    short = settings(tmp_path, "environment = 'A=\"x y\" B=1'\nconfig-settings = 'many=a many=b one=1'")
    assert (short.environment, short.config_settings) == (read.environment, read.config_settings)


def test_what_means_nothing_here_is_named_and_what_is_for_other_systems_is_not(tmp_path: Path) -> None:
    text = """
        before-all = "yum install -y openssl"
        environment = {PATH = "$HOME/bin:$PATH", KEPT = "1"}
        manylinux-armv7l-image = "own"
        [tool.cibuildwheel.windows]
        archs = "auto64"
    """
    read = settings(
        tmp_path, text, variables={"CIBW_REPAIR_WHEEL_COMMAND_LINUX": "x", "CIBW_ARCHS_MACOS": "arm64"}
    )
    assert read.not_honoured == (
        "CIBW_REPAIR_WHEEL_COMMAND_LINUX",
        "before-all",
        "environment (PATH)",
        "manylinux-armv7l-image",
    )
    assert dict(read.environment) == {"KEPT": "1"}


def test_tests_are_left_out_where_the_settings_leave_them_out(tmp_path: Path) -> None:
    text = "test-command = 'pytest'\ntest-requires = 'pytest'\ntest-extras = 'a, b'\n"
    read = settings(tmp_path, text)
    assert (read.test_requires, read.test_extras) == (("pytest",), ("a", "b"))
    skipped = settings(tmp_path, text + "test-skip = '*_armv7l'")
    assert (skipped.test_command, skipped.test_requires, skipped.test_extras) == ("", (), ())


def test_what_is_no_requirement_is_refused_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="test-requires has '--pre', which is no requirement"):
        settings(tmp_path, "test-requires = '--pre pytest'")


@pytest.mark.parametrize(
    "option", ["--extra-index-url https://host/", "-i https://host/", "--no-binary tomli"]
)
def test_options_in_a_file_of_a_test_are_refused(tmp_path: Path, option: str) -> None:
    (tmp_path / "needs.txt").write_text(f"{option}\npytest\n")
    with pytest.raises(UsageError, match=r"needs\.txt has options"):
        settings(tmp_path, "test-requires = '-r needs.txt'")


def test_requirements_of_a_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/bounds.txt").write_text("pytest<9\n")
    (tmp_path / "tests/requirements.txt").write_text(
        "pytest>=8  # new\n-c bounds.txt\ntomli; python_version < '3.11'\n"
    )
    read = settings(tmp_path, "test-requires = '-r tests/requirements.txt numpy'")
    assert read.test_requires == ("pytest>=8", 'tomli ; python_version < "3.11"', "numpy")
    with pytest.raises(UsageError, match=r"nosuch\.txt cannot be read"):
        settings(tmp_path, "test-requires = '-r nosuch.txt'")


def test_a_project_without_settings_has_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'demo'\n")
    assert settings_of(ProjectFolder(tmp_path), targets.load("ot2"), {}) is None
