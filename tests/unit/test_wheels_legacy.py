"""Requirements of old tools are read as pip and uv read them, and nothing else is guessed at."""

from __future__ import annotations

import pytest
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier

from crosswheel.wheels.legacy import repaired_requirement, repaired_specifiers


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        ("PyYAML (>=5.1.*)", "PyYAML>=5.1"),
        ("tqdm >=4.41.*,<5.0.*", "tqdm<5.0,>=4.41"),
        ("black !=1.0!=2.0", "black!=1.0,!=2.0"),
        ("elasticsearch-dsl (>=7.2.0<8.0.0)", "elasticsearch-dsl<8.0.0,>=7.2.0"),
        ("jupyter-core !=~5.0, >=4.12", "jupyter-core!=5.0,>=4.12"),
        ("numpy >=1.19.", "numpy>=1.19"),
        ("six==1.0*", "six==1.0.*"),
        ("wheel >='0.30' ; python_version < '3.11'", 'wheel>=0.30; python_version < "3.11"'),
    ],
)
def test_what_old_tools_wrote_is_read_as_it_was_meant(stated: str, meant: str) -> None:
    with pytest.raises(InvalidRequirement):
        Requirement(stated)
    assert str(Requirement(repaired_requirement(stated))) == meant


@pytest.mark.parametrize(
    "text", ["six", "six[a]>=1.0,!=2.*; python_version < '3'", "six @ file:///six-1.0.*", "a (>=1.0,==2.*)"]
)
def test_what_is_right_stays_as_it_is(text: str) -> None:
    assert repaired_requirement(text) == text


def test_what_is_none_at_all_stays_an_error() -> None:
    with pytest.raises(InvalidRequirement):
        repaired_requirement("a b c")
    with pytest.raises(InvalidSpecifier):
        repaired_specifiers("python 3")
    assert (repaired_specifiers(">=3.6.*, !=3.7.*"), repaired_specifiers("")) == (">=3.6, !=3.7.*", "")
