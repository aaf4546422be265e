"""Files are whole or absent, whatever ends the writing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crosswheel.cached import CachedFolder, cached_texts
from crosswheel.errors import IntegrityError, StorageError
from crosswheel.files import (
    digest_of,
    explained_storage_errors,
    new_file,
    new_folder,
    place_copy,
    place_link,
    read_sealed,
    remove_tree,
    sha256_of,
    write_bytes,
    write_sealed,
    write_text,
)
from support.small_disk import run_on_small_disk


def run_python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file.txt"
    write_text(file, "old")
    write_bytes(file, "né".encode())
    assert file.read_text() == "né"
    assert list(file.parent.iterdir()) == [file]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_what_may_not_be_read_is_named() -> None:
    # Root may read all, so that it is made, and looked at, as somebody else.
    done = run_python(
        "import os, tempfile; from pathlib import Path\n"
        "from crosswheel.errors import StorageError\n"
        "from crosswheel.files import explained_storage_errors\n"
        "os.getuid() or os.setuid(65534)\n"
        "folder = tempfile.mkdtemp()\n"
        "os.chmod(folder, 0)\n"
        "try:\n"
        "    with explained_storage_errors(Path('site')): os.scandir(folder)\n"
        "except StorageError as error: print(error.message == f'{folder} cannot be read: Permission denied')\n"
        "finally: os.rmdir(folder)"
    )
    assert done.stdout == "True\n", done.stderr


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    died = run_python(
        "import os, signal, sys; from pathlib import Path; from crosswheel.files import new_file\n"
        "with new_file(Path(sys.argv[1])) as beside:\n"
        "    beside.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)",
        file,
    )
    assert died.returncode == -signal.SIGKILL
    assert file.read_text() == "old"


def test_a_process_killed_while_it_fills_a_folder_leaves_no_folder_of_that_name(tmp_path: Path) -> None:
    died = run_python(
        "import os, signal, sys; from pathlib import Path; from crosswheel.files import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as beside:\n"
        "    (beside / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)",
        tmp_path / "folder",
    )
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "folder").exists()


def test_an_error_while_writing_leaves_the_old_file_and_nothing_beside(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with contextlib.suppress(ZeroDivisionError), new_file(file) as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_while_filling_a_folder_leaves_nothing(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), new_folder(tmp_path / "folder") as beside:
        (beside / "half").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_somebody_else_made_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with new_folder(folder) as beside:
        (beside / "mine").touch()
        folder.mkdir()
        (folder / "theirs").touch()
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [folder]


WRITER = """
import itertools, os, sys
os.makedirs(sys.argv[1] + "/deep")
os.chdir(sys.argv[1] + "/deep")
for number in itertools.count():
    open(f"file{number}", "w").close()
    if number == 9: print(flush=True)
"""


def fill(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "program").write_text("whole")


@pytest.mark.parametrize("damage", ["without the program", "with an empty one", "with a dead link", "a link"])
def test_what_is_kept_and_damaged_is_made_anew(tmp_path: Path, damage: str) -> None:
    kept, program = tmp_path / "cache" / "kept", tmp_path / "cache" / "kept" / "bin" / "program"
    program.parent.mkdir(parents=True)
    if damage == "with an empty one":
        program.touch()
    elif damage == "with a dead link":
        program.symlink_to("absent")
    elif damage == "a link":
        kept.rename(tmp_path / "elsewhere")
        kept.symlink_to(tmp_path / "elsewhere")
    assert CachedFolder(kept, ["bin/prog*"]).make(fill) == kept
    assert program.read_text() == "whole"
    assert [path.name for path in kept.parent.iterdir()] == ["kept"]
    CachedFolder(kept, ["bin/prog*"]).make(lambda folder: pytest.fail("it is whole"))


def test_what_is_damaged_stays_until_there_is_something_better(tmp_path: Path) -> None:
    (tmp_path / "kept" / "half").mkdir(parents=True)
    with pytest.raises(IntegrityError, match="still lacks some of program"):
        CachedFolder(tmp_path / "kept", ["program"]).make(fill)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["kept", "kept/half"]


def test_those_that_mend_a_kept_folder_at_once_leave_each_other_a_whole_one(tmp_path: Path) -> None:
    at_once = threading.Barrier(8)

    def mend(number: int) -> str:
        at_once.wait(60)
        folder = CachedFolder(tmp_path / "kept", ["bin/program"]).make(fill)
        return (folder / "bin" / "program").read_text()

    for _ in range(20):
        (tmp_path / "kept" / "half").mkdir(parents=True)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(mend, range(8))) == ["whole"] * 8
        shutil.rmtree(tmp_path / "kept")


def test_a_full_disk_is_explained_and_the_old_file_stays(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from crosswheel.errors import StorageError; from crosswheel.files import write_bytes, write_text\n"
        "file = Path(sys.argv[1]); write_text(file, 'old')\n"
        "try: write_bytes(file, bytes(1 << 20))\n"
        "except StorageError as error: print(error.message, '|', error.hint)"
    )
    disk = tmp_path / "disk"
    done = run_on_small_disk([sys.executable, "-c", program, str(disk / "file")], disk, 64)
    assert done.stdout.startswith("the disk is full"), done.stderr
    assert str(disk) in done.stdout
    assert "CROSSWHEEL_CACHE" in done.stdout.split("|")[1]
    assert [(path.name, path.read_text()) for path in disk.iterdir()] == [("file", "old")]


def test_a_read_only_file_system_is_explained(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from crosswheel.errors import StorageError; from crosswheel.files import write_text\n"
        "try: write_text(Path(sys.argv[1]), 'text')\n"
        "except StorageError as error: print(error.message)"
    )
    disk = tmp_path / "disk"
    words = [sys.executable, "-c", program, str(disk / "file")]
    done = run_on_small_disk(words, disk, 64, read_only=True)
    assert f"{disk}" in done.stdout, done.stderr
    assert "cannot be written: Read-only file system" in done.stdout


def test_a_file_where_a_folder_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        write_text(tmp_path / "file" / "below", "text")
    with pytest.raises(StorageError, match="file"), new_folder(tmp_path / "file" / "below"):
        pass


def test_a_disk_that_fails_is_explained(tmp_path: Path) -> None:
    nothing_there = Path("/proc/self/mem")
    with (
        pytest.raises(StorageError, match="cannot be reached any more: Input/output error") as caught,
        explained_storage_errors(tmp_path),
    ):
        nothing_there.read_bytes()
    assert str(tmp_path) in caught.value.hint


def test_other_errors_of_the_system_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), explained_storage_errors(tmp_path):
        (tmp_path / "absent").read_text()


def test_a_placed_copy_has_the_bytes_and_replaces_what_was_there(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "new" / "destination"
    source.write_bytes(b"new")
    write_bytes(destination, b"old")
    place_copy(source, destination)
    place_copy(source, destination)
    assert destination.read_bytes() == b"new"
    assert list(destination.parent.iterdir()) == [destination]


def test_a_placed_copy_shares_no_bytes_with_its_source_and_a_placed_link_does(tmp_path: Path) -> None:
    source, copy, link = (tmp_path / name for name in ("source", "copy", "link"))
    source.write_bytes(b"first")
    place_copy(source, copy)
    place_link(source, link)
    source.write_bytes(b"later")
    assert (copy.read_bytes(), link.read_bytes()) == (b"first", b"later")


def test_where_no_link_is_possible_a_copy_has_the_mode_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError

    source, copy = tmp_path / "source", tmp_path / "folder/copy"
    source.write_bytes(b"text")
    source.chmod(0o755)
    monkeypatch.setattr("os.link", refuse)
    place_link(source, copy)
    assert (copy.read_bytes(), copy.stat().st_mode, copy.samefile(source)) == (
        b"text",
        source.stat().st_mode,
        False,
    )


@pytest.mark.parametrize("damage", ["other bytes", "other mode", "gone", "a link", "a folder", "a file more"])
def test_texts_that_are_kept_are_as_they_are_said_to_be_each_time(tmp_path: Path, damage: str) -> None:
    texts = {"cc": "#!/bin/sh\n", "notes": ""}
    folder = cached_texts(tmp_path / "tools" / "1", texts, ["cc"])
    program = folder / "cc"
    inode = program.stat().st_ino
    assert cached_texts(folder, texts, ["cc"]).joinpath("cc").stat().st_ino == inode
    if damage in ("gone", "a link", "a folder"):
        program.unlink()
    if damage == "other bytes":
        program.write_text("#!/bin/zh\n")
    elif damage == "other mode":
        program.chmod(0o777)
    elif damage == "a link":
        (tmp_path / "other").write_text(texts["cc"])
        (tmp_path / "other").chmod(0o755)
        program.symlink_to(tmp_path / "other")
    elif damage == "a folder":
        (program / "below").mkdir(parents=True)
    elif damage == "a file more":
        (folder / "gcc").write_text("evil")
    cached_texts(folder, texts, ["cc"])
    assert {path.name: path.read_text() for path in folder.iterdir()} == texts
    assert (program.lstat().st_mode & 0o170777, (folder / "notes").stat().st_mode & 0o777) == (
        0o100755,
        0o644,
    )


def test_a_sealed_text_is_read_as_it_was_written_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "sealed"
    assert read_sealed(file) is None
    write_sealed(file, "grüß\ngott\n")
    assert read_sealed(file) == "grüß\ngott\n"
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_sealed(file) is None
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert read_sealed(file) is None


def test_a_tree_is_removed_also_where_somebody_still_writes_into_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    words = [sys.executable, "-c", WRITER, str(tree)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            for _ in range(20):
                remove_tree(tree)
                assert not (tree / "deep").exists()
                tree.mkdir(exist_ok=True)
        finally:
            writer.kill()


def test_a_tree_without_the_right_to_write_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").touch()
    for folder in (tree / "below", tree):
        folder.chmod(0o555)
    remove_tree(tree)
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_was_placed_stays_when_the_source_is_replaced(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    write_bytes(source, b"first")
    place_copy(source, destination)
    write_bytes(source, b"second")
    assert destination.read_bytes() == b"first"


def test_a_copy_to_another_file_system_is_a_copy(tmp_path: Path) -> None:
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.write_bytes(b"content")
    program = (
        "import sys; from pathlib import Path; from crosswheel.files import place_copy\n"
        "place_copy(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    words = [sys.executable, "-c", program, str(source), str(disk / "placed")]
    assert run_on_small_disk(words, disk, 64).returncode == 0
    assert [(path.name, path.read_bytes()) for path in disk.iterdir()] == [("placed", b"content")]


def test_one_alone_is_in_a_folder_which_is_gone_when_nothing_is_left_in_it(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from crosswheel.files import exclusive\n"
        "folder = Path(sys.argv[1])\n"
        "for _ in range(30):\n"
        "    with exclusive(folder, waiting=lambda: None):\n"
        "        (folder / 'mine').touch(exist_ok=False); time.sleep(0.002); (folder / 'mine').unlink()"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "folder")]
    several = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[1] for process in several] == [""] * 4
    assert not (tmp_path / "folder").exists()


def test_a_copy_of_what_a_link_leads_to_is_no_link(tmp_path: Path) -> None:
    source, link = tmp_path / "source", tmp_path / "link"
    source.write_bytes(b"content")
    link.symlink_to(source)
    place_copy(link, tmp_path / "new")
    write_bytes(tmp_path / "replaced", b"old")
    place_copy(link, tmp_path / "replaced")
    source.unlink()
    for name in ("new", "replaced"):
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == b"content"


def test_a_digest_names_content_not_the_order_it_is_told_in() -> None:
    assert digest_of(a=1, b={"x": 1, "y": 2}) == digest_of(b={"y": 2, "x": 1}, a=1)
    assert digest_of(a=1) != digest_of(a=2)
    assert digest_of(a="1") != digest_of(a=1)


def test_the_hash_of_a_file_is_that_of_the_standard_tool(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom((1 << 20) + 17))
    said = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    assert sha256_of(file) == said.split()[0]
