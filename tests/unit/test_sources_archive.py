"""Archives are unpacked whole and inside their folder, or not at all."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from crosswheel.errors import CrosswheelError, IntegrityError
from crosswheel.sources.archive import unpack

FORMATS = ["zip", "tar.gz", "tgz", "tar.bz2", "tar.xz", "tar"]
Entry = tuple[str, str, bytes]
"""Kind (``file``, ``program``, ``folder``, ``link``, ``hardlink``, ``device``, ``fifo``), name, and content
or target."""

_TAR_TYPES = {
    "folder": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "fifo": tarfile.FIFOTYPE,
}
_ZIP_MODES = {
    "file": stat.S_IFREG | 0o644,
    "program": stat.S_IFREG | 0o755,
    "folder": stat.S_IFDIR | 0o755,
    "link": stat.S_IFLNK | 0o777,
    "device": stat.S_IFCHR | 0o644,
    "fifo": stat.S_IFIFO | 0o644,
}


def make_archive(path: Path, *entries: Entry) -> Path:
    if path.suffix == ".zip":
        return make_zip(path, *entries)
    compression = {"gz": "gz", "tgz": "gz", "bz2": "bz2", "xz": "xz", "tar": ""}[path.suffix[1:]]
    with tarfile.open(path, f"w:{compression}") as archive:  # type: ignore[call-overload]
        for kind, name, content in entries:
            info = tarfile.TarInfo(name)
            info.type = _TAR_TYPES.get(kind, tarfile.REGTYPE)
            info.mode = 0o755 if kind == "program" else 0o644
            info.mtime = 1_000_000_000
            if kind.endswith("link"):
                info.linkname = os.fsdecode(content)
                content = b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path, *entries: Entry) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind, name, content in entries:
            info = zipfile.ZipInfo(name + "/" * (kind == "folder"), (2001, 9, 9, 1, 46, 40))
            info.create_system = 3
            info.external_attr = _ZIP_MODES[kind] << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def refused(archive: Path, folder: Path, *, size_limit: int = 1 << 30) -> CrosswheelError:
    """Return the refusal, having seen that nothing was left: not in the folder, not beside, not above."""
    before = sorted(folder.parent.iterdir())
    with pytest.raises(IntegrityError) as raised:
        unpack(archive, folder, size_limit=size_limit)
    assert sorted(folder.parent.iterdir()) == before
    assert archive.name in raised.value.message
    return raised.value


@pytest.mark.parametrize("suffix", FORMATS)
def test_only_what_is_wanted_is_unpacked(tmp_path: Path, suffix: str) -> None:
    entries = [("file", f"top/{name}", b"text") for name in ("a.c", "sub/b.c", "sub/b.h")]
    archive = make_archive(tmp_path / f"archive.{suffix}", *entries)
    tree = unpack(archive, tmp_path / "new", is_selected=lambda name: name.endswith(".c"))
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*.*")) == ["a.c", "sub/b.c"]


@pytest.mark.parametrize("form", FORMATS)
def test_files_folders_links_modes_and_times_come_out_as_they_went_in(tmp_path: Path, form: str) -> None:
    archive = make_archive(
        tmp_path / f"p-1.0.{form}",
        ("folder", "p-1.0", b""),
        ("folder", "p-1.0/empty", b""),
        ("file", "p-1.0/src/a.txt", b"a" * 100_000),
        ("program", "p-1.0/configure", b"#!/bin/sh\n"),
        ("link", "p-1.0/src/link", b"../configure"),
    )
    top = unpack(archive, tmp_path / "unpack")
    assert top == tmp_path / "unpack" / "p-1.0"
    assert (top / "src" / "a.txt").read_bytes() == b"a" * 100_000
    assert not os.access(top / "src" / "a.txt", os.X_OK)
    assert os.access(top / "configure", os.X_OK)
    assert (top / "src" / "link").readlink() == Path("../configure")
    assert (top / "empty").is_dir()
    assert (top / "configure").stat().st_mtime == 1_000_000_000


def test_the_format_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.tar.xz", ("file", "p/a.txt", b"a"))
    renamed = archive.rename(tmp_path / "a.zip")
    assert (unpack(renamed, tmp_path / "unpack") / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize(
    "entries", [[("file", "a.txt", b"a")], [("file", "p/a.txt", b"a"), ("file", "q/a.txt", b"a")]]
)
def test_without_a_single_top_folder_the_whole_folder_is_the_top(
    tmp_path: Path, entries: list[Entry]
) -> None:
    archive = make_archive(tmp_path / "a.tar.gz", *entries)
    assert unpack(archive, tmp_path / "unpack") == tmp_path / "unpack"


def test_a_hard_link_becomes_a_file_of_its_own(tmp_path: Path) -> None:
    archive = make_archive(
        tmp_path / "a.tar.gz", ("file", "p/a.txt", b"a"), ("hardlink", "p/b.txt", b"p/a.txt")
    )
    top = unpack(archive, tmp_path / "unpack")
    assert (top / "b.txt").read_bytes() == b"a"
    (top / "b.txt").write_bytes(b"changed")
    assert (top / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", ["../evil", "p/../../evil", "/tmp/crosswheel-evil", "p/.."])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, form: str, name: str) -> None:
    archive = make_archive(tmp_path / f"a.{form}", ("file", "p/a.txt", b"a"), ("file", name, b"evil"))
    assert (
        f"{name} in {archive.name} has a name that leads out" in refused(archive, tmp_path / "unpack").message
    )
    assert not Path("/tmp/crosswheel-evil").exists()


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "../..", "/"])
def test_a_symbolic_link_that_leads_out_is_refused(tmp_path: Path, form: str, target: str) -> None:
    archive = make_archive(tmp_path / f"a.{form}", ("link", "p/link", target.encode()))
    assert "p/link" in refused(archive, tmp_path / "unpack").message


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_links_that_lead_out_only_together_are_refused(tmp_path: Path, form: str) -> None:
    # `out` looks harmless while `p/a/up` is not there yet; with it, it is the folder above all.
    archive = make_archive(
        tmp_path / f"a.{form}",
        ("folder", "p/a", b""),
        ("link", "p/out", b"a/up/.."),
        ("link", "p/a/up", b"../.."),
    )
    refused(archive, tmp_path / "unpack")


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_file_behind_links_that_lead_out_is_not_written(tmp_path: Path, form: str) -> None:
    archive = make_archive(
        tmp_path / f"a.{form}",
        ("folder", "p/a", b""),
        ("link", "p/out", b"a/up/.."),
        ("link", "p/a/up", b"../.."),
        ("file", "p/out/evil", b"evil"),
    )
    assert "p/out/evil" in refused(archive, tmp_path / "unpack").message


@pytest.mark.parametrize("target", ["../outside.txt", "/etc/passwd", "p/missing.txt"])
def test_a_hard_link_to_what_is_not_in_the_archive_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside.txt").write_text("secret")
    archive = make_archive(tmp_path / "a.tar.gz", ("hardlink", "p/link", target.encode()))
    assert "p/link" in refused(archive, tmp_path / "unpack").message


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
@pytest.mark.parametrize("kind", ["device", "fifo"])
def test_what_is_neither_file_folder_nor_link_is_refused(tmp_path: Path, form: str, kind: str) -> None:
    archive = make_archive(tmp_path / f"a.{form}", (kind, "p/thing", b""))
    message = refused(archive, tmp_path / "unpack").message
    assert message == f"p/thing in {archive.name} is neither file, folder nor link"


@pytest.mark.parametrize(
    "entry",
    [
        ("file", "../evil", b"evil"),
        ("file", "/tmp/crosswheel-evil", b"evil"),
        ("link", "p/link", b"/etc/passwd"),
        ("link", "p/link", b"../../evil"),
        ("hardlink", "p/link", b"/etc/passwd"),
        ("hardlink", "p/link", b"../../evil"),
        ("device", "p/device", b""),
    ],
)
def test_a_python_without_the_standard_tar_filter_refuses_the_same(
    tmp_path: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    archive = make_archive(tmp_path / "a.tar.gz", entry)
    assert entry[1] in refused(archive, tmp_path / "unpack").message


def test_a_link_to_the_folder_itself_is_no_way_out(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.tar.gz", ("folder", ".", b""), ("link", "./here", b"."))
    assert (unpack(archive, tmp_path / "unpack") / "here").is_dir()


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_the_later_counts(tmp_path: Path, form: str) -> None:
    twice = [("file", "p/a", b"first"), ("program", "./p/a", b"second")]
    top = unpack(make_archive(tmp_path / f"a.{form}", *twice), tmp_path / "unpack")
    assert (top / "a").read_bytes() == b"second"


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    "second", [("file", "p/a/b", b"below a file"), ("link", "p/a", b"b"), ("device", "p/a", b"")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_clash_are_refused(tmp_path: Path, form: str, second: Entry) -> None:
    archive = make_archive(tmp_path / f"a.{form}", ("file", "p/a", b"first"), second)
    assert second[1] in refused(archive, tmp_path / "unpack").message


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.xz"])
def test_more_bytes_than_the_limit_are_refused_before_they_are_written(tmp_path: Path, form: str) -> None:
    archive = make_archive(
        tmp_path / f"a.{form}", ("file", "p/small", bytes(600)), ("file", "p/bomb", bytes(600))
    )
    assert unpack(archive, tmp_path / "fits", size_limit=1200).is_dir()
    problem = refused(archive, tmp_path / "unpack", size_limit=1199)
    assert "p/bomb" in problem.message
    assert "1199" in problem.message


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_a_truncated_archive_is_refused(tmp_path: Path, form: str, kept: float) -> None:
    archive = make_archive(tmp_path / f"a.{form}", ("file", "p/a.txt", os.urandom(200_000)))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * kept)])
    refused(archive, tmp_path / "unpack")


@pytest.mark.parametrize("form", ["tar.gz", "tar.xz", "tar.bz2"])
def test_an_archive_cut_after_its_last_member_is_refused(tmp_path: Path, form: str) -> None:
    archive = make_archive(tmp_path / f"a.{form}", ("file", "p/a.txt", b"a"))
    archive.write_bytes(archive.read_bytes()[:-4])
    refused(archive, tmp_path / "unpack")


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar.xz"])  # plain tar has no checksum
def test_damage_in_the_middle_is_refused(tmp_path: Path, form: str) -> None:
    archive = make_archive(tmp_path / f"a.{form}", ("file", "p/a.txt", os.urandom(500_000)))
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    refused(archive, tmp_path / "unpack")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "a.zip"
    page.write_text("<html>Log in first</html>")
    refused(page, tmp_path / "unpack")


def test_an_archive_with_endlessly_many_members_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosswheel.sources.archive._MOST_MEMBERS", 10)
    path = tmp_path / "many.zip"
    for count in (10, 11):
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(count):
                archive.writestr(f"top/{number}", b"")
        if count == 10:
            unpack(path, tmp_path / "right")
    with pytest.raises(IntegrityError, match=r"many\.zip has more than 10 files and folders"):
        unpack(path, tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
