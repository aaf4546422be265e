"""A wheel's modules are compiled unimported: what only a newer Python has is a fault, what is allowed for is none."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import marshal
import py_compile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check import compiling
from crosswheel.check.modules import Compiled, Interpreter, compile_modules, unfit_modules
from crosswheel.process import Result, Word
from crosswheel.wheels.reading import WheelFile
from support.wheels import make_wheel

OT2 = targets.load("ot2")  # Python 3.10.8
FINE, BAD = "", "import tomllib"
NEWER = "x = ("  # as syntax that this Python does not know


@pytest.fixture(autouse=True)
def _as_on_the_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    """What newer Pythons have is not there, whichever runs this."""
    monkeypatch.setattr(compiling, "_is_there", lambda name: False)


def answer(words: list[Word]) -> Result:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        compiling.main(str(words[1]))
    return Result(0, printed.getvalue())


HERE = Interpreter("here", answer)


def compiled(folder: Path, files: Mapping[str, str], requires: Sequence[str] = ()) -> Compiled:
    members = {name: text.encode() for name, text in files.items()}
    wheel = WheelFile.open(make_wheel(folder, "pkg", "1.0", members, requires=requires))
    return compile_modules(wheel, OT2, [HERE])


def unfit(folder: Path, *, sub: str, init: str = FINE, **others: str) -> list[str]:
    files = {
        "pkg/__init__.py": init,
        "pkg/sub.py": sub,
        **{f"pkg/{name}.py": text for name, text in others.items()},
    }
    return list(compiled(folder, files).unfit)


@pytest.mark.parametrize(
    "source",
    [
        NEWER,
        BAD,
        "from tomllib import loads",
        "from typing import Any, Self",
        "import importlib.resources.abc",
        "class A:\n    from typing import Self",
        "with open('x') as y:\n    import tomllib",
        "try:\n    import tomllib\nfinally:\n    pass",
        "try:\n    import tomllib\nexcept OSError:\n    pass",
        "try:\n    pass\nexcept ImportError:\n    pass\nfinally:\n    import tomllib",
    ],
)
def test_what_only_a_newer_python_has_is_a_fault_in_a_module_that_nobody_imports(
    tmp_path: Path, source: str
) -> None:
    assert unfit(tmp_path, sub=source) == ["pkg.sub"]


@pytest.mark.parametrize(
    "source",
    [
        "from typing import Any",
        "from .tomllib import x",
        "from third.party import Self",
        "try:\n    import tomllib\nexcept ImportError:\n    import tomli as tomllib",
        "try:\n    import tomli\nexcept ModuleNotFoundError:\n    import tomllib",
        "try:\n    from typing import Self\nexcept (AttributeError, ImportError):\n    Self = None",
        "try:\n    import tomllib\nexcept:\n    pass",
        "try:\n    import old\nexcept ImportError:\n    pass\nelse:\n    import tomllib",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import tomllib",
        "import sys\nif sys.version_info >= (3, 11):\n    import tomllib",
        "import sys\nif sys.version_info < (3, 11):\n    x = 1\nelse:\n    import tomllib",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from typing import Self",
        "import sys\nif sys.version_info < (3, 11):\n    raise ImportError('3.11')\nimport tomllib",
        "def f():\n    import tomllib",
        "class A:\n    async def f(self):\n        from typing import Self",
        "for x in ():\n    import tomllib",
    ],
)
def test_what_a_module_allows_for_is_no_fault(tmp_path: Path, source: str) -> None:
    assert unfit(tmp_path, sub=source) == []


@pytest.mark.parametrize("source", [NEWER, BAD])
@pytest.mark.parametrize(
    ("user", "fault"),
    [
        ("import pkg.sub", True),
        ("from .sub import x", True),
        ("from pkg import sub", True),
        ("import sys\nif sys.version_info >= (3, 12):\n    from . import sub", False),
        ("try:\n    from pkg.sub import *\nexcept ImportError:\n    pass", False),
        ("def f():\n    from pkg.sub import x", False),
    ],
)
def test_a_module_that_is_imported_only_where_that_may_fail_is_no_fault(
    tmp_path: Path, source: str, user: str, fault: bool
) -> None:
    assert unfit(tmp_path, init=user, sub=source) == (["pkg.sub"] if fault else [])


def test_what_only_such_a_module_imports_is_no_fault_either(tmp_path: Path) -> None:
    guarded = "try:\n    from . import sub\nexcept ImportError:\n    pass"
    assert unfit(tmp_path, init=guarded, sub="from . import deep", deep=BAD) == []
    assert unfit(tmp_path, init=guarded, sub="from . import deep", deep=BAD, other="import pkg.deep") == [
        "pkg.deep"
    ]


@pytest.mark.parametrize(
    "member",
    [
        "pkg/templates/sub.py",  # data: there is no package
        "pkg/data/python2/__init__.py",
        "pkg/{{cookiecutter.name}}/__init__.py",
        "pkg/tests/__init__.py",
        "pkg/tests/sub.py",
        "pkg/test_sub.py",
        "pkg/conftest.py",
        "docs/conf.py",
        "setup.py",
        "pkg-1.0.data/scripts/run.py",
        "pkg-1.0.data/data/share/sub.py",
    ],
)
def test_what_is_not_reached_by_importing_need_not_compile(tmp_path: Path, member: str) -> None:
    assert compiled(tmp_path, {"pkg/__init__.py": FINE, member: NEWER}).unfit == {}


@pytest.mark.parametrize(
    ("member", "module"),
    [
        ("pkg/sub/__init__.py", "pkg.sub"),
        ("single.py", "single"),
        ("space/module.py", "space.module"),
        ("space/deep/inner/__init__.py", "space.deep.inner"),
        ("pkg-1.0.data/purelib/pkg/sub.py", "pkg.sub"),
    ],
)
def test_modules_are_found_in_any_layout(tmp_path: Path, member: str, module: str) -> None:
    found = compiled(tmp_path, {"pkg/__init__.py": FINE, member: BAD})
    assert (list(found.unfit), found.count) == ([module], 2)


def test_python_2_is_passed_over(tmp_path: Path) -> None:
    if importlib.util.find_spec("lib2to3") is None:
        pytest.skip("this Python cannot tell Python 2")
    assert unfit(tmp_path, sub="print 'hello'\nraise ValueError, 'no'\nexec 'x' in {}\n") == []


@pytest.mark.parametrize(
    "source", ["{% if x %}\nimport a\n{% endif %}", "<% x %>\nimport a", "x = '\0'", "# na\xefve"]
)
def test_templates_and_what_is_no_text_are_passed_over(tmp_path: Path, source: str) -> None:
    assert unfit(tmp_path, sub=source) == []


def test_what_a_wheel_brings_along_is_not_asked_of_the_standard_library(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": BAD}
    assert list(compiled(tmp_path, files).unfit) == ["pkg"]
    assert compiled(tmp_path, files, requires=["tomllib"]).unfit == {}
    assert compiled(tmp_path, {**files, "tomllib.py": FINE}).unfit == {}


def test_the_fault_says_where_what_and_since_when(tmp_path: Path) -> None:
    found = compiled(tmp_path, {"pkg/__init__.py": FINE, "pkg/sub.py": "\nfrom typing import Self"})
    (fault,) = unfit_modules(found, "pkg-1.0.whl", "3.10")
    assert fault.message == (
        "module pkg.sub cannot work with Python 3.10: line 2: it imports typing.Self, which is new in Python 3.11"
    )
    assert "skip_imports" in fault.remedy
    assert unfit_modules(found, "pkg-1.0.whl", "3.10", {"pkg.sub": "nobody needs it"}) == []


def test_the_bytecode_of_what_compiles_is_kept_as_python_itself_would_write_it(tmp_path: Path) -> None:
    source, kept = b"import os\ndef f(a=1): return {a in {1, 2}, lambda: 'text'}\n", tmp_path / "kept"
    files = {
        "pkg/__init__.py": source,
        "pkg/sub.py": source,
        "pkg/bad.py": b"x = (",
        "pkg/tests/__init__.py": b"",
    }
    wheel = WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", files))

    def run(words: list[Word]) -> Result:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            compiling.main(str(words[1]), str(kept))
        return Result(0, printed.getvalue())

    compile_modules(wheel, OT2, [Interpreter("here", run)])
    (tmp_path / "module.py").write_bytes(source)
    expected = Path(
        py_compile.compile(
            str(tmp_path / "module.py"), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        or ""
    ).read_bytes()
    places = [importlib.util.cache_from_source(str(kept / f"pkg/{name}.py")) for name in ("__init__", "sub")]
    assert sorted(map(str, kept.rglob("*.*"))) == places
    for place in places:
        data = Path(place).read_bytes()
        assert data[:16] == expected[:16]
        assert marshal.loads(data[16:]) == marshal.loads(expected[16:])


def test_the_first_python_of_the_targets_very_version_is_believed(tmp_path: Path) -> None:
    asked: list[str] = []

    def python(version: str) -> Interpreter:
        def run(words: list[Word]) -> Result:
            asked.append(version)
            return Result(0, f'noise\n{{"version": "{version}", "compiled": 1, "unfit": {{}}}}')

        return Interpreter(f"number {len(asked)}", run)

    wheel = WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", {"pkg.py": b""}))
    pythons = [python("3.10.7"), python("3.10.8"), python("3.10.8")]
    assert compile_modules(wheel, OT2, pythons).by == "CPython 3.10.8 number 0"
    assert asked == ["3.10.7", "3.10.8"]
    assert compile_modules(wheel, OT2, [python("3.10.7")]).by.startswith("CPython 3.10.7")
    assert compile_modules(wheel, OT2, []) == Compiled()
