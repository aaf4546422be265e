"""What a signed channel promises: its readers get what its publishers had, nothing else, and nothing old."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from test_publish import FUTURE, site_of

from crosswheel.agent.signed import CHANNEL
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.publish import WheelSelection, prune, publish, set_yanked
from crosswheel.publish.channel_manifest import NEWEST, Manifest, Reader, Signatory, SignedFile
from crosswheel.publish.verified import VerifiedChannel, verified_channel
from crosswheel.signing.envelope import sign
from crosswheel.signing.keys import SigningKey
from crosswheel.stores.folder import FolderStore
from crosswheel.stores.store import Content
from support.publishing import published_wheels
from support.sites import tree
from support.static_server import serving

WHEEL = "simple/a/a-1-py3-none-any.whl"


class Laboratory:
    """A channel, and who signs and reads it; each with a memory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.key = folder, FolderStore(folder / "channel"), SigningKey.new()

    def reader(self, name: str = "reader") -> Reader:
        return Reader((self.key.public,), self.folder / name)

    def signatory(self, name: str = "publisher", days: int = 90) -> Signatory:
        return Signatory(self.key, self.reader(name), days)

    def publish(self, *wheels: tuple[str, str], site: str = "site", **options: object) -> Manifest:
        done = publish(site_of(self.folder / site, *wheels), self.store, signatory=self.signatory(**options))  # type: ignore[arg-type]
        assert done.manifest is not None
        return done.manifest

    def read(self, path: str = WHEEL, name: str = "reader") -> bytes:
        return self.open(name).read(path)

    def open(self, name: str = "reader") -> VerifiedChannel:
        with verified_channel(str(self.folder / "channel"), self.reader(name)) as verified:
            return verified

    def replace(self, path: str, data: bytes) -> None:
        file = self.folder / "channel" / path
        file.chmod(0o644)
        file.write_bytes(data)


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    return Laboratory(tmp_path)


def test_what_is_published_with_a_key_is_signed_and_read_as_it_was(laboratory: Laboratory) -> None:
    laboratory.publish(("a", "1"))
    assert laboratory.read() == (laboratory.folder / "site/index" / WHEEL).read_bytes()
    assert laboratory.read(f"{WHEEL}.metadata").startswith(b"Metadata-Version")
    with (
        serving(laboratory.folder / "channel") as server,
        verified_channel(server.url, laboratory.reader("web")) as web,
    ):
        assert web.read(WHEEL) == laboratory.read()


def test_what_two_publishers_sign_is_in_the_last_manifest_and_each_has_a_number(
    laboratory: Laboratory,
) -> None:
    assert laboratory.publish(("a", "1"), site="one", name="one").version == 1
    second = laboratory.publish(("b", "1"), site="two", name="two")
    assert second.version == 2
    assert set(laboratory.open().wheels) == {WHEEL, "simple/b/b-1-py3-none-any.whl"}


def test_of_two_publishers_at_once_the_second_adds_to_what_the_first_signed(laboratory: Laboratory) -> None:
    class Late(FolderStore):
        """While one is about to create its manifest, another publishes."""

        tried = 0

        def create(self, path: str, content: Content) -> bool:
            if path.startswith("signed/") and not self.tried:
                self.tried = 1
                laboratory.publish(("b", "1"), site="two", name="two")
            return super().create(path, content)

    store = Late(laboratory.folder / "channel")
    publish(site_of(laboratory.folder / "one", ("a", "1")), store, signatory=laboratory.signatory("one"))
    assert {path.split("/")[1] for path in laboratory.open().wheels} == {"a", "b"}
    assert laboratory.open().manifest.version == 2


def test_what_merely_lies_in_a_channel_is_never_signed(laboratory: Laboratory) -> None:
    # Somebody who can write there publishes as well, and has no key.
    publish(site_of(laboratory.folder / "theirs", ("evil", "1")), laboratory.store)
    laboratory.publish(("a", "1"))
    assert "evil-1-py3-none-any.whl" in published_wheels(laboratory.store)
    with pytest.raises(IntegrityError, match="is not in what was signed"):
        laboratory.read("simple/evil/evil-1-py3-none-any.whl")


@pytest.mark.parametrize("data", [b"PK", b""])
def test_a_wheel_that_was_replaced_is_not_read(laboratory: Laboratory, data: bytes) -> None:
    laboratory.publish(("a", "1"))
    original = laboratory.read()
    for replaced in (data, bytes([original[0] ^ 1]) + original[1:]):  # of the same size, too
        laboratory.replace(WHEEL, replaced)
        with pytest.raises(IntegrityError, match="is not what was signed: its bytes were replaced"):
            laboratory.read()
    # Nor is what was replaced ever signed, although the record says that all is there.
    laboratory.publish(("a", "1"))
    with pytest.raises(IntegrityError, match="is not what was signed"):
        laboratory.read()


def test_a_manifest_by_another_key_is_refused_by_readers_and_publishers(laboratory: Laboratory) -> None:
    manifest = laboratory.publish(("a", "1"))
    other = SigningKey.new()
    forged = manifest.model_copy(update={"version": 9, "files": {WHEEL: SignedFile(sha256="0" * 64, size=1)}})
    data = json.dumps(sign(forged.model_dump(mode="json"), CHANNEL, other)).encode()
    laboratory.replace(NEWEST, data)
    with pytest.raises(IntegrityError, match="not signed by a key that is trusted here"):
        laboratory.open()
    laboratory.store.create("signed/00000009.json", data)
    before = tree(laboratory.folder / "channel/signed")
    with pytest.raises(IntegrityError, match="not signed by a key that is trusted here"):
        laboratory.publish(("b", "1"))
    assert tree(laboratory.folder / "channel/signed") == before


def test_an_old_manifest_that_is_put_back_is_refused_by_who_has_seen_a_newer_one(
    laboratory: Laboratory,
) -> None:
    laboratory.publish(("a", "1"))
    old = laboratory.store.read(NEWEST) or b""
    laboratory.publish(("a", "2"))
    laboratory.open()
    laboratory.replace(NEWEST, old)
    with pytest.raises(IntegrityError, match="is number 1, and number 2 was seen here before"):
        laboratory.open()
    laboratory.store.remove("signed/00000002.json")
    with pytest.raises(IntegrityError, match="is number 1, and number 2 was seen here before"):
        laboratory.publish(("a", "3"))


def test_another_channel_in_the_place_of_this_one_is_refused(laboratory: Laboratory, tmp_path: Path) -> None:
    laboratory.publish(("a", "1"))
    laboratory.open()
    other = Laboratory(tmp_path / "other")
    other.key = laboratory.key
    other.publish(("a", "1"))
    other.publish(("a", "2"))
    laboratory.replace(NEWEST, other.store.read(NEWEST) or b"")
    with pytest.raises(IntegrityError, match="is another channel than before"):
        laboratory.open()


def test_a_manifest_that_expired_is_refused_and_publishing_again_renews_it(laboratory: Laboratory) -> None:
    manifest = laboratory.publish(("a", "1"))
    now = int(time.time())
    past = manifest.model_copy(update={"version": 2, "issued": now - 9, "expires": now - 1})
    data = json.dumps(sign(past.model_dump(mode="json"), CHANNEL, laboratory.key)).encode()
    laboratory.store.create("signed/00000002.json", data)
    laboratory.replace(NEWEST, data)
    with pytest.raises(IntegrityError, match="expired on"):
        laboratory.open()
    laboratory.publish(("a", "1"))
    assert laboratory.read()


def test_a_signed_channel_is_not_changed_by_who_does_not_sign(laboratory: Laboratory) -> None:
    laboratory.publish(("a", "1"))
    before = tree(laboratory.folder / "channel")
    with pytest.raises(UsageError, match="is signed, and there is no key here"):
        publish(site_of(laboratory.folder / "two", ("b", "1")), laboratory.store)
    with pytest.raises(UsageError, match="is signed, and there is no key here"):
        set_yanked(laboratory.store, WheelSelection("a", "1"), "bad")
    assert tree(laboratory.folder / "channel") == before


def test_that_a_wheel_is_yanked_is_signed(laboratory: Laboratory) -> None:
    laboratory.publish(("a", "1"))
    assert laboratory.open().wheels == {WHEEL: False}
    set_yanked(laboratory.store, WheelSelection("a", "1"), "bad", signatory=laboratory.signatory())
    assert laboratory.open().wheels == {WHEEL: True}
    set_yanked(laboratory.store, WheelSelection("a", "1"), None, signatory=laboratory.signatory())
    assert laboratory.open().wheels == {WHEEL: False}


def test_publishing_again_keeps_that_a_wheel_is_yanked(laboratory: Laboratory) -> None:
    laboratory.publish(("a", "1"))
    set_yanked(laboratory.store, WheelSelection("a", "1"), "bad", signatory=laboratory.signatory())
    laboratory.publish(("a", "1"), ("b", "1"))
    assert laboratory.open().wheels[WHEEL]


def test_a_channel_that_is_not_signed_says_so(laboratory: Laboratory) -> None:
    publish(site_of(laboratory.folder / "site", ("a", "1")), laboratory.store)
    with pytest.raises(UsageError, match="is not signed"):
        laboratory.open()


def test_old_manifests_are_removed_and_pruning_removes_the_others(tmp_path: Path) -> None:
    laboratory = Laboratory(tmp_path)
    laboratory.store = FolderStore(tmp_path / "channel/branch")
    for _ in range(5):
        laboratory.publish(("a", "1"))
    kept = sorted(path.name for path in (tmp_path / "channel/branch/signed").iterdir())
    assert kept == ["00000003.json", "00000004.json", "00000005.json"]
    assert prune(FolderStore(tmp_path / "channel"), FUTURE).removed == ["branch"]
    assert not list((tmp_path / "channel").rglob("*.json"))
