"""Recipes: the original tool's run unchanged, mistakes are named with file and line, nothing is left behind."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import RecipeError, UsageError
from crosswheel.job.adding import number_build
from crosswheel.job.closures import closure_of_lock
from crosswheel.lock import Lock, Pin
from crosswheel.recipes.editing import change_build_number
from crosswheel.recipes.loader import Recipes, load_folder, shipped_helpers
from crosswheel.recipes.model import GithubSource, GitSource, PypiSource, Recipe, UrlSource

HASH, COMMIT = "0" * 64, "0" * 40

# As recipes were written for the original tool: all that its build_package and github_source take.
PANDAS = """
from builder import package_build

source = package_build.github_source(
    org="pandas-dev",
    repo="pandas",
    tag="v1.5.3",
    sdist_archive="pandas-1.5.3.tar.gz",
    name="pandas",
)

output = package_build.build_package(
    source=source,
    setup_py_commands=["build_ext", "bdist_wheel"],
    build_dependencies=["numpy==1.21.6", "cython"],
)
print(output)
"""
POSITIONAL = """
from builder import package_build

if __name__ == "__main__":
    package_build.build_package(
        package_build.github_source(org="o", repo="r", tag="1", path="python"), ["bdist_wheel"], ["numpy"]
    )
"""


def load(folder: Path, text: str, place: str = "demo/1.0", beside: tuple[str, ...] = ()) -> Recipes:
    """Read a folder of recipes with one recipe, whose lines are those of ``text``."""
    file = folder / "packages" / place / "build.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    for name in beside:
        (file.parent / name).write_text("")
    return load_folder(folder / "packages", folder / "dist")


def root(folder: Path, arguments: str, **more: tuple[str, ...]) -> Recipe:
    """Return the only recipe of a file that calls ``build_package`` with some arguments, from its line 2 on."""
    text = f"from builder import package_build\npackage_build.build_package({arguments})\n"
    (recipe,) = load(folder, text, **more).roots  # type: ignore[arg-type]
    return recipe


def fault(folder: Path, text: str, line: int) -> str:
    """Return what is said of a recipe with a mistake in a line."""
    with pytest.raises(RecipeError) as caught:
        load(folder, text)
    assert f"{folder / 'packages/demo/1.0/build.py'}, line {line}" in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_a_recipe_of_the_original_tool_means_what_it_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipe,) = load(tmp_path, PANDAS, "pandas/1.5.3").roots
    assert (recipe.name, recipe.version) == ("pandas", "1.5.3")
    assert isinstance(recipe.source, GithubSource)
    assert recipe.source.url("https://github.com") == (
        "https://github.com/pandas-dev/pandas/releases/download/v1.5.3/pandas-1.5.3.tar.gz"
    )
    assert recipe.setup_py_commands == ("build_ext", "bdist_wheel")
    assert recipe.build_dependencies == ("numpy==1.21.6", "cython")
    assert capsys.readouterr().out.strip() == str(tmp_path / "dist" / "pandas" / "1.5.3")


def test_the_original_arguments_may_be_given_by_position(tmp_path: Path) -> None:
    (recipe,) = load(tmp_path, POSITIONAL).roots
    assert isinstance(recipe.source, GithubSource)
    assert recipe.source.url("https://github.com") == "https://github.com/o/r/archive/refs/tags/1.zip"
    assert recipe.source.path == "python"
    assert (recipe.setup_py_commands, recipe.build_dependencies) == (("bdist_wheel",), ("numpy",))


def test_the_shape_of_the_original_functions_is_kept() -> None:
    import inspect

    from crosswheel.recipes.api import PackageBuild

    original = [("source", None), ("setup_py_commands", None), ("build_dependencies", None)]
    said = inspect.signature(PackageBuild.build_package).parameters
    # `source` may also be left out now: the locked sdist is meant then.
    assert [(name, p.default) for name, p in list(said.items())[1:4]] == original
    assert {p.kind for p in list(said.values())[4:]} == {inspect.Parameter.KEYWORD_ONLY}
    github = inspect.signature(PackageBuild.github_source).parameters
    assert list(github)[1:7] == ["org", "repo", "tag", "sdist_archive", "name", "path"]
    assert {p.kind for p in list(github.values())[1:]} == {inspect.Parameter.KEYWORD_ONLY}


def test_every_source_can_be_named(tmp_path: Path) -> None:
    for said, meant in {
        "pypi_source(name='d', version='1')": PypiSource(name="d", version="1"),
        f"pypi_source(name='d', version='1', sha256='{HASH}')": PypiSource(
            name="d", version="1", sha256=HASH
        ),
        f"git_source(url='u', ref='v1', commit='{COMMIT}')": GitSource(url="u", ref="v1", commit=COMMIT),
        f"url_source(url='u', sha256='{HASH}', path='p')": UrlSource(url="u", sha256=HASH, path="p"),
        f"github_source(org='o', repo='r', tag='1', git_tree='{COMMIT}', submodules={{'s': '{COMMIT}'}})": (
            GithubSource(org="o", repo="r", tag="1", git_tree=COMMIT, submodules={"s": COMMIT})
        ),
    }.items():
        assert root(tmp_path, f"package_build.{said}").source == meant


def test_every_keyword_is_kept(tmp_path: Path) -> None:
    recipe = root(
        tmp_path,
        "as_of='2025-04-25', fallback=package_build.pypi_source(name='d', version='1'), requirements=['d[x]'],"
        "patches=['a.patch'], environment={'A': 'b'}, config_settings={'c': 'd'}, cargo_features=['f'],"
        "optimize='s', libraries=['libyaml'], tests=['t.py'], test_requires=['u'], skip_imports={'m': 'why'},"
        "prefer='published', prefer_reason='because', before_build='make headers'",
        beside=("a.patch", "t.py"),
    )
    assert recipe.as_of == datetime.date(2025, 4, 25)
    assert recipe.fallback == PypiSource(name="d", version="1")
    assert recipe.roots == recipe.requirements == ("d[x]",)
    assert (recipe.patches, recipe.tests, recipe.test_requires) == (("a.patch",), ("t.py",), ("u",))
    assert (dict(recipe.environment), dict(recipe.config_settings)) == ({"A": "b"}, {"c": "d"})
    assert (recipe.cargo_features, recipe.optimize, recipe.libraries) == (("f",), "s", ("libyaml",))
    assert dict(recipe.skip_imports) == {"m": "why"}
    assert recipe.before_build == "make headers"
    assert (recipe.prefer, recipe.prefer_reason) == ("published", "because")
    assert recipe.test_files == (recipe.folder / "t.py",)


def test_a_root_offers_itself_at_its_version(tmp_path: Path) -> None:
    assert root(tmp_path, "").roots == ("demo==1.0",)


def test_a_recipe_without_version_only_helps(tmp_path: Path) -> None:
    load(tmp_path, "from builder import package_build\npackage_build.build_package()", "demo/1.0")
    text = "from builder import package_build\npackage_build.build_package(optimize='1')"
    recipes = load(tmp_path, text, "Ruamel.YAML_clib")
    assert [recipe.version for recipe in recipes.roots] == ["1.0"]
    helper = recipes.for_package("ruamel-yaml-clib", "0.2")
    assert helper is not None
    assert helper.optimize == "1"
    assert recipes.for_package("other", "1") is None


def test_a_root_of_that_very_version_is_preferred_to_a_helper(tmp_path: Path) -> None:
    call = "from builder import package_build\npackage_build.build_package(optimize='{}')"
    load(tmp_path, call.format(1), "demo/1.0")
    recipes = load(tmp_path, call.format(2), "demo")
    said = {version: recipes.for_package("demo", version) for version in ("1.0", "2.0")}
    assert {version: recipe.optimize for version, recipe in said.items() if recipe} == {
        "1.0": "1",
        "2.0": "2",
    }


@pytest.mark.parametrize(
    ("folder", "release"),
    [("2024.08.30", "2024.8.30"), ("1.0", "1.0.0"), ("1.0.0", "1"), ("1.0-rc.1", "1.0rc1"), ("v2", "2.0")],
)
def test_a_root_is_of_its_release_however_names_and_versions_are_spelled(
    tmp_path: Path, folder: str, release: str
) -> None:
    text = "from builder import package_build\npackage_build.build_package(optimize='1')"
    recipes = load(tmp_path, text, f"De_mo/{folder}")
    assert recipes.for_package("de-mo", release) == recipes.roots[0]
    assert recipes.for_package("de-mo", f"{release}.post1") is None


@pytest.mark.parametrize(("one", "other"), [("de.mo", "De_Mo"), ("demo/1.0", "demo/1.0.0")])
def test_two_recipes_whose_folders_differ_in_spelling_only_are_named(
    tmp_path: Path, one: str, other: str
) -> None:
    text = "from builder import package_build\npackage_build.build_package()"
    load(tmp_path, text, one)
    with pytest.raises(RecipeError, match="are for one package") as caught:
        load(tmp_path, text, other)
    assert one in caught.value.message
    assert other in caught.value.message


def lock_of(*releases: str) -> Lock:
    pins = [Pin(*release.split("=="), frozenset()) for release in releases]
    return Lock({}, {pin.name: pin for pin in pins})


@pytest.mark.parametrize(
    ("arguments", "locked", "has"),
    [
        ("optimize='s', requirements=['demo>=1']", "demo==1.1", "which has demo==1.1"),
        ("requirements=['demo']", "demo==2.0", "which has demo==2.0"),
        ("tests=['t.py'], requirements=['other']", "other==1.0", "which has no demo at all"),
    ],
)
def test_a_root_whose_recipe_would_not_be_used_is_an_error(
    tmp_path: Path, arguments: str, locked: str, has: str
) -> None:
    recipe = root(tmp_path, f"as_of='2025-04-25', {arguments}", beside=("t.py",))
    store = RequirementsStore(tmp_path, None, frozen=True)
    with pytest.raises(RecipeError, match="it would not be used") as caught:
        closure_of_lock(recipe, lock_of(locked), store, None)  # type: ignore[arg-type]
    assert has in caught.value.message
    assert "name its folder after" in caught.value.hint


def test_beneath_every_folder_of_recipes_lie_those_that_ship(tmp_path: Path) -> None:
    text = "from builder import package_build\npackage_build.build_package({})"
    recipes = load(tmp_path, text.format("libraries=['libyaml']"), "PyYAML")
    greenlet, pyyaml = (recipes.for_package(name, "3.2.1") for name in ("greenlet", "pyyaml"))
    assert greenlet is not None
    assert (greenlet.optimize, greenlet.label) == ("s", "crosswheel's recipe")
    assert greenlet.test_files[0].is_file()
    assert pyyaml is not None
    assert (pyyaml.label, pyyaml.tests) == ("packages/PyYAML/build.py", ())


def test_a_root_that_does_not_say_how_leaves_that_to_the_helper(tmp_path: Path) -> None:
    text = "from builder import package_build\npackage_build.build_package({})"
    recipes = load(tmp_path, text.format("as_of='2025-04-25'"), "greenlet/3.2.1")
    assert recipes.for_package("greenlet", "3.2.1") == shipped_helpers()["greenlet"]
    recipes = load(tmp_path, text.format("as_of='2025-04-25', optimize='2'"), "greenlet/3.2.1")
    assert recipes.for_package("greenlet", "3.2.1") == recipes.roots[0]


def test_the_helpers_are_in_the_package_that_is_installed(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(words, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    needed = [file for recipe in shipped_helpers().values() for file in (recipe.file, *recipe.test_files)]
    needed += [r.folder / patch for r in shipped_helpers().values() for patch in r.patches]
    assert len(needed) > 50
    assert {f"crosswheel/recipes/data/{file.parent.name}/{file.name}" for file in needed} <= names


def test_a_build_number_holds_whoever_says_how_the_package_is_built(tmp_path: Path) -> None:
    text = "from builder import package_build\npackage_build.build_package(build_number=2)"
    recipe = load(tmp_path, text, "greenlet/3.2.1").for_package("greenlet", "3.2.1")
    assert recipe is not None
    assert (recipe.optimize, recipe.build_number) == ("s", 2)
    assert recipe.fingerprint != shipped_helpers()["greenlet"].fingerprint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("build_package()", "build_package(build_number=3)"),
        ('build_package(optimize="s")', 'build_package(optimize="s", build_number=3)'),
        (
            "build_package(build_number=2, as_of='2025-04-25')",
            "build_package(build_number=3, as_of='2025-04-25')",
        ),
        (
            "build_package(\n    # é\n    tests=[],\n)",
            "build_package(\n    # é\n    tests=[],\n    build_number=3,\n)",
        ),
        ("build_package(\n    tests=[]\n)", "build_package(\n    tests=[],\n    build_number=3,\n)"),
    ],
)
def test_a_build_number_is_written_into_a_recipe_and_nothing_else_is_touched(
    tmp_path: Path, before: str, after: str
) -> None:
    text = "# what it is for\nfrom builder import package_build\npackage_build.{}  # so\n"
    (recipe,) = load(tmp_path, text.format(before)).roots
    change_build_number(recipe.file, 3)
    assert recipe.file.read_text() == text.format(after)
    assert load_folder(tmp_path / "packages", tmp_path).roots[0].build_number == 3


def test_a_recipe_that_cannot_be_numbered_is_named(tmp_path: Path) -> None:
    call = "package_build.build_package(build_number={})\n"
    for text, why in ((call.format(1) * 2, "2 times"), ("n = 1\n" + call.format("n"), "no plain number")):
        (recipe, *_) = load(tmp_path, "from builder import package_build\n" + text).roots
        before = recipe.file.read_text()
        with pytest.raises(RecipeError, match=why) as caught:
            change_build_number(recipe.file, 2)
        assert "build_number=2" in caught.value.hint
        assert recipe.file.read_text() == before


def test_the_next_build_number_is_that_after_the_one_in_use(tmp_path: Path) -> None:
    load(tmp_path, "from builder import package_build\npackage_build.build_package(build_number=4)", "other")
    target, folder = targets.load("ot2"), tmp_path / "packages"
    (folder / "demo/1.0.0").mkdir(parents=True)
    said = "# requirements: demo[x]==1.0.0\n# as-of: 2025-04-25\n"
    (folder / "demo/1.0.0/ot2.lock").write_text(said)
    assert number_build("other==1", None, load_folder(folder, tmp_path), target) == 5
    assert [number_build("Demo==1.0", None, load_folder(folder, tmp_path), target) for _ in range(2)] == [
        1,
        2,
    ]
    root = load_folder(folder, tmp_path).root_of("demo", "1")
    assert root is not None
    assert (root.requirements, str(root.as_of), root.build_number) == (("demo[x]==1.0.0",), "2025-04-25", 2)
    with pytest.raises(UsageError, match="is not a release"):
        number_build("demo>=1", None, load_folder(folder, tmp_path), target)


def test_a_recipe_runs_as_the_script_that_it_is(tmp_path: Path) -> None:
    recipe = root(tmp_path, "environment={'name': __name__, 'file': __file__}")
    assert dict(recipe.environment) == {"name": "__main__", "file": str(recipe.file)}


def test_the_builder_module_is_gone_afterwards(tmp_path: Path) -> None:
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "builder"}
    root(tmp_path, "")
    with pytest.raises(RecipeError):
        load(tmp_path, "import builder\n1 / 0")
    assert {n: m for n, m in sys.modules.items() if n.split(".")[0] == "builder"} == before


def test_a_recipe_started_by_hand_is_checked_as_well(tmp_path: Path) -> None:
    (tmp_path / "demo" / "1.0").mkdir(parents=True)
    file = tmp_path / "demo" / "1.0" / "build.py"
    file.write_text("from builder import package_build\nprint(package_build.build_package(optimise='s'))")
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "optimise" in done.stderr
    file.write_text("from builder import package_build\nprint(package_build.build_package(optimize='s'))")
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    assert done.stdout == "dist\n", done.stderr


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    assert "never closed" in fault(tmp_path, "import os\n\nprint(\n", 3)


def test_an_error_inside_is_named_with_its_line(tmp_path: Path) -> None:
    text = "import os\ndef deeper():\n    return {}['key']\n\ndeeper()\n"
    assert "KeyError: 'key'" in fault(tmp_path, text, 3)


def test_an_error_below_the_recipe_is_named_with_the_line_of_the_recipe(tmp_path: Path) -> None:
    assert "JSONDecodeError" in fault(tmp_path, "import json\njson.loads('{')\n", 2)


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No module named 'builderr'" in fault(tmp_path, "from builderr import package_build\n", 1)


def test_an_unknown_keyword_is_named_with_its_line(tmp_path: Path) -> None:
    text = "from builder import package_build\n\npackage_build.build_package(optimise='s')\n"
    assert "unexpected keyword argument 'optimise'" in fault(tmp_path, text, 3)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("optimize='fast'", "optimize: Input should be '0', '1', '2', '3', 's' or 'z'"),
        ("prefer='pure'", "prefer: Input should be 'native', 'published' or 'source'"),
        ("as_of='yesterday'", "as_of: Input should be a valid date"),
        ("source='https://example.org'", "source: "),
        ("libraries='libffi'", "libraries: Input should be a valid tuple"),
        ("requirements=['a b c']", "requirements.0: "),
        ("build_dependencies=['numpy=1']", "build_dependencies.0: "),
        ("package_build.url_source(url='u', sha256='abc')", "sha256: String should match pattern"),
        ("package_build.github_source(org='o', repo='r', tag='1', git_tree='1')", "git_tree: "),
        ("package_build.github_source(org='o', repo='r', tag=1)", "tag: Input should be a valid string"),
        ("patches=['no.patch']", "there is no file no.patch"),
        ("tests=['test_no.py']", "there is no file test_no.py"),
    ],
)
def test_a_wrong_value_is_named_with_key_expectation_and_line(
    tmp_path: Path, arguments: str, expected: str
) -> None:
    text = f"from builder import package_build\npackage_build.build_package({arguments})\n"
    assert expected in fault(tmp_path, text, 2)


def test_a_recipe_that_stops_the_interpreter_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    assert "SystemExit" in fault(tmp_path, "import sys\nsys.exit(1)\n", 2)


def test_a_recipe_may_end_itself(tmp_path: Path) -> None:
    text = "import sys\nfrom builder import package_build\npackage_build.build_package()\nsys.exit()\n"
    assert len(load(tmp_path, text).roots) == 1


def test_a_recipe_that_builds_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"build\.py never calls build_package"):
        load(tmp_path, "import builder")


def test_a_recipe_in_the_wrong_place_is_named_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"deeper/build\.py is not where") as caught:
        load(tmp_path, "", "demo/1.0/deeper")
    assert "<name>/<version>/build.py" in caught.value.hint


def test_a_folder_whose_version_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="latest"):
        load(tmp_path, "from builder import package_build\npackage_build.build_package()", "demo/latest")


def test_a_folder_of_recipes_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="absent") as caught:
        load_folder(tmp_path / "absent", tmp_path)
    assert "--recipes" in caught.value.hint


def test_what_a_wheels_bytes_depend_on_is_in_the_fingerprint(tmp_path: Path) -> None:
    plain = root(tmp_path, "patches=['a.patch']", beside=("a.patch",))
    first = plain.fingerprint
    (plain.folder / "a.patch").write_text("--- changed")
    assert plain.fingerprint != first
    assert root(tmp_path / "elsewhere", "patches=['a.patch']", beside=("a.patch",)).fingerprint == first
    assert (
        root(tmp_path / "two", "environment={'A': 'b'}").fingerprint
        != root(tmp_path / "three", "").fingerprint
    )
    tested = root(tmp_path / "four", "tests=['t.py'], skip_imports={'m': 'w'}", beside=("t.py",))
    assert tested.fingerprint == root(tmp_path / "three", "").fingerprint


LIBRARY = {"archive": "tiny-1.0.tar.gz", "sha256": "0" * 64, "version": "1.0", "configure": []}


def write_library(folder: Path, **changes: object) -> None:
    told = {key: value for key, value in {**LIBRARY, **changes}.items() if value is not None}
    folder.mkdir(exist_ok=True)
    (folder / "tiny-1.0.tar.gz").touch()
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in told.items()]
    (folder / "libraries.toml").write_text("".join(["[tiny]\n", *lines]))


def test_a_folder_of_recipes_adds_libraries(tmp_path: Path) -> None:
    write_library(tmp_path / "packages", needs=["zlib"])
    known = load_folder(tmp_path / "packages", tmp_path / "dist").libraries
    assert known["tiny"].archive == str(tmp_path / "packages/tiny-1.0.tar.gz")
    assert known["tiny"].needs == ("zlib",)
    (tmp_path / "packages/libraries.toml").unlink()
    assert load_folder(tmp_path / "packages", tmp_path / "dist").libraries == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "short"}, "tiny.sha256: String should match"),
        ({"sha256": None}, "tiny: Value error, archive, sha256 and version go together"),
        ({"colour": "red"}, "tiny.colour: Extra inputs are not permitted"),
        ({"source": "tiny"}, "tiny: Value error, it needs one of packages, source, archive"),
        ({"only": ["libtiny.a"]}, "tiny: Value error, only is for what is taken from packages"),
        (
            {"prebuilt": ["libtiny-dev"]},
            "tiny: Value error, prebuilt is for what is built from a source of Debian's",
        ),
        ({"configure": None}, "tiny: Value error, what is built needs one of configure, cmake, commands"),
        ({"archive": "gone.tar.gz"}, "tiny.archive: there is no file gone.tar.gz in its folder"),
        ({"archive": "../../etc/passwd"}, "tiny.archive: there is no file"),
    ],
)
def test_a_library_that_is_said_wrongly_is_named_with_file_and_key(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    write_library(tmp_path / "packages", **changes)
    with pytest.raises(RecipeError) as caught:
        load_folder(tmp_path / "packages", tmp_path / "dist")
    assert f"{tmp_path}/packages/libraries.toml: {message}" in str(caught.value)


def test_a_file_of_libraries_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "libraries.toml").write_bytes(b"[tiny\n\xff")
    with pytest.raises(RecipeError, match=r"libraries\.toml"):
        load_folder(tmp_path, tmp_path / "dist")
    (tmp_path / "libraries.toml").write_text("tiny = 3\n")
    with pytest.raises(RecipeError, match=r"libraries\.toml: tiny"):
        load_folder(tmp_path, tmp_path / "dist")


def test_limits_are_amounts_and_no_part_of_what_a_wheel_is_made_from(tmp_path: Path) -> None:
    plain, limited = (
        load(
            tmp_path / folder, f"from builder import package_build\npackage_build.build_package({words})"
        ).roots[0]
        for folder, words in (("a", ""), ("b", "time_limit='2h', memory_limit='4G'"))
    )
    assert (limited.time_limit, limited.memory_limit) == (7200, 4 * 10**9)
    assert plain.fingerprint == limited.fingerprint
    with pytest.raises(RecipeError, match="soon: that is no amount"):
        load(
            tmp_path / "c",
            "from builder import package_build\npackage_build.build_package(time_limit='soon')",
        )
