"""What is imported of a wheel, and what is no fault if it is not: by the program that runs on the target."""

from __future__ import annotations

import dataclasses
import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from crosswheel.emulation.emulator import FIRST_START, START, Emulator
from crosswheel.emulation.trials import Importable, Imports, Trial, Trying, import_modules, run_test
from crosswheel.errors import AllowanceSpent
from crosswheel.process import Allowance, Result, Runner
from crosswheel.toolchain.python.tree import PythonTree


@dataclass(frozen=True)
class Here:
    """This machine's own Python in place of an emulated one."""

    python: PythonTree = field(default_factory=lambda: PythonTree(Path(sys.prefix), "3"))
    userland: str | None = None
    start: Path = START

    def run(
        self,
        runner: Runner,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        check: bool,
        readable: Sequence[Path],
    ) -> Result:
        command = [sys.executable, *words]
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Result(done.returncode, done.stdout)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "pkg" / "tests").mkdir(parents=True)
    for name in ("__init__.py", "_fast.py", "tests/__init__.py", "tests/_fast.py"):
        (folder / "pkg" / name).touch()
    return folder


def imports_of(site: Path, wanted: Importable) -> Imports:
    return import_modules(wanted, Trial(cast(Emulator, Here()), [site], site.parent / "scratch", Runner()))


def importable(
    extensions: Sequence[str] = ("pkg._fast",),
    *,
    skip: Mapping[str, str] | None = None,
    complete: bool = True,
) -> Importable:
    return Importable("pkg-1.whl", extensions, ["pkg"], skip or {}, complete)


def test_an_extension_module_brings_its_package_along_and_no_other() -> None:
    wheel = Importable("a.whl", ["_native", "pkg.sub._fast"], ["pkg", "pkg2"])
    assert wheel.modules == ["_native", "pkg.sub._fast", "pkg2"]
    skipping = Importable(
        "a.whl", ["pkg._fast"], ["pkg"], {"pkg._fast": "no screen", "other": "it is not here"}
    )
    assert (skipping.modules, skipping.left_out) == (["pkg"], {"pkg._fast": "no screen"})


def test_what_is_there_is_imported(site: Path) -> None:
    assert imports_of(site, importable()) == Imports(("pkg._fast",))
    skipped = {"pkg._fast": "no screen"}
    assert imports_of(site, importable(skip=skipped)) == Imports(("pkg",), skipped)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import elsewhere", "ModuleNotFoundError: No module named 'elsewhere'"),
        ("try: import elsewhere\nexcept ImportError: raise ImportError('get it')", "ImportError: get it"),
        ("raise ImportError('too old')", "ImportError: too old"),
        ("from typing import NoSuchThing", "ImportError: cannot import name 'NoSuchThing'"),
        ("import pkg._absent", "ModuleNotFoundError: No module named 'pkg._absent'"),
        ("raise OSError('no bus')", "OSError: no bus"),
    ],
)
def test_an_extension_module_that_does_not_load_is_a_fault_where_all_is_there(
    site: Path, body: str, message: str
) -> None:
    (site / "pkg/_fast.py").write_text(body)
    imports = imports_of(site, importable())
    assert imports.imported == ()
    (fault,) = imports.faults
    assert f"module pkg._fast does not load on the target ({message}" in fault.message
    assert "skip_imports" in fault.remedy
    assert imports_of(site, importable(skip={"pkg._fast": "known"})).faults == ()


def test_the_fault_names_what_nothing_brings(site: Path) -> None:
    (site / "pkg/_fast.py").write_text("import elsewhere.part")
    (fault,) = imports_of(site, importable()).faults
    assert "nothing that it requires brings elsewhere: name what does with test_requires" in fault.remedy


def test_each_module_that_does_not_load_is_a_fault(site: Path) -> None:
    for name in ("_one", "_two"):
        (site / f"pkg/{name}.py").write_text("raise OSError")
    imports = imports_of(site, importable(["pkg._one", "pkg._fast", "pkg._two"]))
    assert imports.imported == ("pkg._fast",)
    assert [fault.message.split()[1] for fault in imports.faults] == ["pkg._one", "pkg._two"]


def test_one_of_several_extension_modules_may_need_what_an_extra_brings(site: Path) -> None:
    """As zstandard's for cffi does, beside the one that is used without it."""
    (site / "pkg/_other.py").write_text("import _elsewhere_backend")
    both = dataclasses.replace(importable(["pkg._fast", "pkg._other"]), optional=("numpy", "elsewhere"))
    imports = imports_of(site, both)
    assert (imports.faults, imports.imported, list(imports.skipped)) == ((), ("pkg._fast",), ["pkg._other"])
    for brought in (), ("numpy", "else", "elsewhere-native"):  # what no extra brings, the robot will lack
        (fault,) = imports_of(site, dataclasses.replace(both, optional=brought)).faults
        assert "brings _elsewhere_backend" in fault.remedy
    (site / "pkg/_fast.py").write_text("import _elsewhere_backend")
    assert len(imports_of(site, both).faults) == 2, "nothing of it was loaded"


def test_what_pythons_own_library_lacks_on_the_target_is_a_fault_whatever_else_loads(site: Path) -> None:
    (site / "pkg/_other.py").write_text("import winreg")
    (fault,) = imports_of(site, importable(["pkg._fast", "pkg._other"])).faults
    assert "module pkg._other does not load on the target" in fault.message


@pytest.mark.parametrize(
    "body", ["import elsewhere", "try: import elsewhere\nexcept ImportError: raise ImportError"]
)
def test_where_not_all_is_there_what_is_absent_may_be_wanted(site: Path, body: str) -> None:
    (site / "pkg/_fast.py").write_text(body)
    imports = imports_of(site, importable(complete=False))
    assert (imports.faults, imports.imported, list(imports.skipped)) == ((), (), ["pkg._fast"])


@pytest.mark.parametrize("body", ["import pkg._absent", "raise ImportError('too old')", "raise OSError"])
def test_where_not_all_is_there_other_errors_are_faults_all_the_same(site: Path, body: str) -> None:
    (site / "pkg/_fast.py").write_text(body)
    assert len(imports_of(site, importable(complete=False)).faults) == 1


def test_a_module_of_a_packages_tests_may_want_what_its_developers_have(site: Path) -> None:
    (site / "pkg/tests/_fast.py").write_text("import elsewhere")
    imports = imports_of(site, importable(["pkg.tests._fast"]))
    assert imports.skipped == {
        "pkg.tests._fast": "it cannot be imported by itself: No module named 'elsewhere'"
    }
    (site / "pkg/tests/_fast.py").write_text("raise ImportError('too old')")
    assert len(imports_of(site, importable(["pkg.tests._fast"])).faults) == 1


@pytest.mark.parametrize(
    ("folder", "body", "message"),
    [
        ("pkg/_vendored/other", "import lent.part", None),
        ("pkg/_vendored/other", "import lent.absent", "No module named 'lent.absent'"),
        ("pkg/_vendored/other", "import elsewhere", "No module named 'elsewhere'"),
        ("pkg/other", "import lent.part", "No module named 'lent'"),  # nobody puts that folder on the path
    ],
)
def test_a_vendored_package_names_itself_as_if_it_were_installed(
    site: Path, folder: str, body: str, message: str | None
) -> None:
    package = site / folder / "lent"
    package.mkdir(parents=True)
    (package / "part.py").write_text("")
    (package / "_fast.py").write_text(body)
    name = ".".join([*folder.split("/"), "lent", "_fast"])
    imports = imports_of(site, importable([name]))
    assert imports.imported == (() if message else (name,))
    assert len(imports.faults) == (1 if message else 0)
    assert all(f"ModuleNotFoundError: {message}" in fault.message for fault in imports.faults)


@pytest.mark.parametrize("body", ["import elsewhere", "raise ImportError('for Windows alone')"])
def test_python_source_may_want_what_only_some_users_have(site: Path, body: str) -> None:
    (site / "pkg/__init__.py").write_text(body)
    imports = imports_of(site, importable([]))
    assert (imports.faults, list(imports.skipped)) == ((), ["pkg"])


@pytest.mark.parametrize(
    "body",
    ["from typing import NoSuchThing", "import pkg.absent", "x = (", "raise SystemExit", "raise OSError"],
)
def test_python_source_that_cannot_work_is_a_fault(site: Path, body: str) -> None:
    (site / "pkg/__init__.py").write_text(body)
    (fault,) = imports_of(site, importable([])).faults
    assert "module pkg does not load on the target" in fault.message


def test_what_a_module_prints_does_not_hide_what_came_of_it(site: Path) -> None:
    (site / "pkg/_fast.py").write_text("print('importing it', end='')\nimport sys\nsys.stdout = None")
    assert imports_of(site, importable(["pkg._fast", "pkg.tests"])).imported == ("pkg._fast", "pkg.tests")


@pytest.mark.parametrize("modules", [["pkg"], []])
def test_a_pth_file_that_ends_every_python_is_a_fault(site: Path, modules: list[str]) -> None:
    (site / "pkg.pth").write_text("import os; os._exit(0)\n")
    (fault,) = imports_of(site, Importable("pkg-1.whl", (), modules)).faults
    assert "Python does not start with it on the target (exit code 0)" in fault.message


def test_pth_files_and_the_order_of_folders_are_as_in_a_site_folder(site: Path) -> None:
    """What a .pth file names is there to be imported, and the standard library comes first."""
    (site / "pkg.pth").write_text("below\nimport os; os.said = 42\n")
    (site / "below").mkdir()
    (site / "below" / "deep.py").write_text("import os, typing\nassert os.said == 42\nassert typing.Any")
    (site / "typing.py").write_text("raise OSError")
    assert imports_of(site, Importable("pkg-1.whl", (), ["deep"])) == Imports(("deep",))


def test_what_runs_finds_the_data_of_wheels_where_an_environment_has_it(tmp_path: Path) -> None:
    sites = [tmp_path / name / "lib/python3.10/site-packages" for name in "ab"]
    for site in sites:
        site.mkdir(parents=True)
        (site.parents[2] / "etc/lab").mkdir(parents=True)
        (site.parents[2] / "etc/lab/same.json").touch()
        (site.parents[2] / "etc/lab" / f"{site.parents[2].name}.json").touch()
    trial = Trial(cast(Emulator, Here()), sites, tmp_path / "scratch", Runner())
    program = """
import os, sys, sysconfig
print(*sorted(os.listdir(sys.prefix + '/etc/lab')), os.listdir(sys.prefix + '/lib'))
print(sysconfig.get_path('data') == sys.prefix != sys.base_prefix)
"""
    for _ in range(2):
        assert trial.run("-c", program).lines == ["a.json b.json same.json ['python3.10']", "True"]


def test_shared_objects_that_no_module_loads_are_opened(site: Path) -> None:
    """All that they need is looked for at once; a damaged one is a fault, and so is one that ends the process."""
    (site / "pkg" / "data dir").mkdir()
    (site / "pkg" / "data dir" / "libbad.so").write_bytes(b"\x7fELF")
    wanted = Importable("pkg-1.whl", (), ["pkg"], objects=["pkg/data dir/libbad.so"])
    imports = imports_of(site, wanted)
    (fault,) = imports.faults
    assert imports.imported == ("pkg",)
    assert fault.file == "pkg/data dir/libbad.so"
    assert "it cannot be loaded on the target" in fault.message


SEEN = """
import __main__, sys
print(sorted(sys.modules), sorted(vars(__main__)), sys.path, sys.argv, sys.flags)
"""


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """What a trial starts with, compiled by the Python that runs it."""
    folder = Path(shutil.copytree(START, tmp_path / "start", ignore=shutil.ignore_patterns("__pycache__")))
    subprocess.run([sys.executable, "-I", "-c", FIRST_START, folder], cwd=folder, check=True)
    return folder


def seen_by(site: Path, start: Path) -> str:
    """Return what a module sees that is imported in a trial."""
    (site / "pkg/_fast.py").write_text(SEEN)
    told: list[str] = []

    class Told(Trial):
        def run(self, *words: str) -> Result:
            result = super().run(*words)
            told.append(result.output)
            return result

    trial = Told(cast(Emulator, Here(start=start)), [site], site.parent / "scratch", Runner())
    assert import_modules(importable(), trial) == Imports(("pkg._fast",))
    return told[0].replace(str(start), "START").replace(str(START), "START")


def test_what_is_compiled_runs_and_a_wheel_sees_the_same(site: Path, start: Path) -> None:
    as_source = seen_by(site, START)
    assert seen_by(site, start).replace("import_all.pyc", "import_all.py") == as_source
    for path in start.glob("*.py"):
        path.write_text("raise SystemExit('it is compiled at every start')")
    assert seen_by(site, start).replace("import_all.pyc", "import_all.py") == as_source


def test_what_another_python_compiled_is_passed_over_without_a_word(site: Path, start: Path) -> None:
    """A test command may start a Python of its own by the same path."""
    expected = seen_by(site, start)
    compiled = start / importlib.util.cache_from_source("sitecustomize.py")
    compiled.write_bytes(b"\0\0\r\n" + compiled.read_bytes()[4:])
    assert seen_by(site, start) == expected


def test_a_trial_starts_where_the_cache_was_emptied(site: Path, start: Path) -> None:
    expected = seen_by(site, START)
    shutil.rmtree(start)
    assert seen_by(site, start) == expected


def test_a_python_that_cannot_compile_its_start_has_started_all_the_same(tmp_path: Path) -> None:
    words = [sys.executable, "-I", "-c", FIRST_START, str(tmp_path)]
    told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [platform.machine(), platform.python_version()]
    assert told.stderr == ""


class Spent:
    """This machine's own Python, of a package whose time is over."""

    def run(self, *words: str) -> Result:
        return Runner(allowance=Allowance(seconds=1800, until=0.0)).run([sys.executable, *words])


@pytest.mark.parametrize(
    "work",
    [
        lambda trial: import_modules(importable(), trial),
        lambda trial: run_test(Path("test_it.py"), "pkg-1.whl", trial),
    ],
)
def test_a_wheel_is_not_called_unfit_because_the_time_of_its_package_is_over(
    work: Callable[[Trying], object],
) -> None:
    with pytest.raises(AllowanceSpent) as raised:
        work(Spent())
    assert raised.value.kind == "it exceeded its time limit"
    assert "--time-limit" in raised.value.hint
