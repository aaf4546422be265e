"""Files of requirements in pip's full format: what they say, and what of it cannot be honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.errors import UsageError
from crosswheel.projects.requirements_file import RequirementsContent, read_requirements

DIGEST = "a" * 64


def read(folder: Path, text: str, **others: str) -> RequirementsContent:
    for name, content in {"requirements": text, **others}.items():
        (folder / f"{name}.txt").write_text(content)
    content = read_requirements(folder / "requirements.txt")
    assert content is not None
    return content


def texts(content: RequirementsContent) -> list[str]:
    return [f"{line.text}{line.marker}" for line in content.lines]


def test_requirements_are_read_with_those_of_included_files_and_constraints(tmp_path: Path) -> None:
    text = (
        "-r more.txt\n-c limits.txt\nidna[x]>=3 ; python_version > '3'  # why\nsix==1 \\\n    --hash=sha256:"
        + DIGEST
    )
    content = read(tmp_path, text, more="a\n", limits="b<2\n")
    assert texts(content) == ["a", "b<2", 'idna[x]>=3 ; python_version > "3"', "six==1"]
    assert [line.is_constraint for line in content.lines] == [False, True, False, False]
    assert content.lines[-1].hashes == (f"sha256:{DIGEST}",)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-e ./lab", "./lab"),
        ("--editable=./lab[vision]", "./lab[vision]"),
        ("../lab", "../lab"),
        (
            "lab @ git+https://host/lab.git@v1#subdirectory=py",
            "lab @ git+https://host/lab.git@v1#subdirectory=py",
        ),
        (
            "lab[x] @ https://host/lab-1.tar.gz ; sys_platform == 'linux'",
            "lab[x] @ https://host/lab-1.tar.gz",
        ),
        ("https://host/lab-1.tar.gz", "https://host/lab-1.tar.gz"),
        ("file:///srv/lab", "file:///srv/lab"),
        ("-e lab @ file:///srv/lab", "lab @ file:///srv/lab"),
        ('-e "./my lab"', "./my lab"),
        (
            "git+https://host/lab.git@v1#egg=lab[x]&subdirectory=py",
            "lab[x] @ git+https://host/lab.git@v1#egg=lab[x]&subdirectory=py",
        ),
        ("-e git+https://host/lab.git#egg=lab[x]", "lab[x] @ git+https://host/lab.git#egg=lab"),
        ("./wheels/lab-1-py3-none-any.whl", "./wheels/lab-1-py3-none-any.whl"),
    ],
)
def test_a_folder_or_an_address_is_a_project(tmp_path: Path, line: str, text: str) -> None:
    content = read(tmp_path, f"six\n{line}\n")
    assert [item.text for item in content.lines if item.is_project] == [text]


def test_variables_are_replaced_and_a_missing_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_VERSION", "1.2")
    assert texts(read(tmp_path, "lab==${LAB_VERSION}\n")) == ["lab==1.2"]
    monkeypatch.delenv("LAB_VERSION")
    with pytest.raises(UsageError, match=r"requirements\.txt, line 2: the variable LAB_VERSION is not set"):
        read(tmp_path, "six\nlab==${LAB_VERSION}\n")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("lab @ https://host/${LAB}/lab-1.tar.gz", "lab @ https://host/sub/lab-1.tar.gz"),
        ("-e ./${LAB}/lab", "./sub/lab"),
        ("-r ${LAB}.txt", "six"),
        ("--index-url https://host/${LAB}\nsix", "six"),
    ],
)
def test_a_variable_is_replaced_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, text: str
) -> None:
    monkeypatch.setenv("LAB", "sub")
    content = read(tmp_path, f"{line}\n", sub="six\n")
    assert (texts(content), content.index_url) == ([text], "https://host/sub" if "--" in line else None)
    monkeypatch.delenv("LAB")
    with pytest.raises(UsageError, match=r"requirements\.txt, line 1: the variable LAB is not set"):
        read(tmp_path, f"{line}\n", sub="six\n")


def test_an_editables_marker_counts(tmp_path: Path) -> None:
    text = "-e ./lab ; sys_platform == 'win32'\n-e git+https://host/a.git#egg=a; python_version < '3'\n"
    assert [line.marker for line in read(tmp_path, text).lines] == [
        ' ; sys_platform == "win32"',
        ' ; python_version < "3"',
    ]
    with pytest.raises(UsageError, match=r"requirements\.txt, line 1: 'win' is no marker"):
        read(tmp_path, "-e ./lab ; win\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"six==1 --hash=sha512:{DIGEST}{DIGEST}\n", r"line 1: its hashes are not sha256"),
        (f"six==1 \\\n    # why\n    --hash=sha256:{DIGEST}\n", r"line 3: a hash belongs to no requirement"),
    ],
)
def test_a_hash_is_never_passed_over(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=rf"requirements\.txt, {told}"):
        read(tmp_path, text)
    several = f"six==1 --hash=sha256:{DIGEST} --hash=sha512:{DIGEST}{DIGEST}\n"
    assert read(tmp_path, several).lines[0].hashes[0] == f"sha256:{DIGEST}"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "requirements.txt").write_text("six==1 # é\n", encoding=encoding)
    content = read_requirements(tmp_path / "requirements.txt")
    assert content is not None
    assert texts(content) == ["six==1"]


def test_a_file_that_includes_itself_is_left_to_the_resolver(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r requirements.txt\nsix\n")
    assert read_requirements(tmp_path / "requirements.txt") is None


def test_options_that_choose_between_files_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    content = read(tmp_path, "--no-binary a,B_c\n--only-binary :all:\n-i https://host/simple\na\n")
    assert (content.no_binary, content.only_binary) == ({"a", "b-c"}, {":all:"})
    assert content.index_url == "https://host/simple"
    assert read(
        tmp_path, "--extra-index-url https://a/\n--extra-index-url https://b/\nsix\n"
    ).extra_index_urls == ("https://a/", "https://b/")
    assert not read(tmp_path, "--no-binary a\n--no-binary :none:\na\n").no_binary


@pytest.mark.parametrize(
    ("line", "option", "remedy"),
    [
        ("--find-links ./wheels", "--find-links", "name the files"),
        ("--no-index", "--no-index", "leave it out"),
        ("--pre", "--pre", "name the pre-release"),
        ("--trusted-host host", "--trusted-host", "SSL_CERT_FILE"),
        ("--use-feature=fast-deps", "--use-feature", "leave that line out"),
        ("--always-unzip", "--always-unzip", "leave that line out"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_named_with_its_line(
    tmp_path: Path, line: str, option: str, remedy: str
) -> None:
    with pytest.raises(
        UsageError, match=rf"requirements\.txt, line 2: {option} cannot be honoured"
    ) as caught:
        read(tmp_path, f"six\n{line}\n")
    assert remedy in caught.value.hint


def test_hashes_that_a_file_requires_are_required(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 3: idna==3\.10 has no hash"):
        read(tmp_path, f"--require-hashes\nsix==1 --hash=sha256:{DIGEST}\nidna==3.10\n")


@pytest.mark.parametrize("data", [b"-r absent.txt\n", b"not == = a requirement\n"])
def test_a_file_that_cannot_be_read_is_left_to_the_resolver_which_tells_why(
    tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "requirements.txt").write_bytes(data)
    assert read_requirements(tmp_path / "requirements.txt") is None
