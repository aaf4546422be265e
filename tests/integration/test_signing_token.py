"""A key that never leaves its token signs as one in a file does: SoftHSM, through PKCS #11."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pkcs11
import pytest
from asn1crypto.core import PrintableString

from crosswheel.agent.signed import opened
from crosswheel.debian import Debian, host_architecture
from crosswheel.errors import UsageError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.signing.envelope import open_signed, sign
from crosswheel.signing.keys import KeyFolder

KIND = "application/vnd.crosswheel.test+json"
PIN = "1234"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a token with a key on it; return the key's URI, without a PIN."""
    folder = tmp_path_factory.mktemp("token")
    debian = Debian(host_architecture(), Settings.from_environment(), Runner())
    debian.unpack(["libsofthsm2", "softhsm2"], folder / "root")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
    module = folder / "root/usr/lib/softhsm/libsofthsm2.so"
    words = ["--init-token", "--free", "--label", "the lab's", "--pin", PIN, "--so-pin", PIN]
    Runner().run([folder / "root/usr/bin/softhsm2-util", "--module", module, *words])
    with pkcs11.lib(str(module)).get_token(token_label="the lab's").open(rw=True, user_pin=PIN) as session:
        kind, curve = pkcs11.KeyType.EC_EDWARDS, PrintableString("edwards25519").dump()
        parameters = session.create_domain_parameters(kind, {pkcs11.Attribute.EC_PARAMS: curve}, local=True)
        way = pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
        parameters.generate_keypair(mechanism=way, store=True, label="signing")
    return f"pkcs11:token=the%20lab%27s;object=signing?module-path={module}"


def test_a_robot_accepts_what_a_key_on_a_token_signs(uri: str, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    keys = KeyFolder(tmp_path, f"{uri}&pin-source=file:{tmp_path / 'pin'}")
    key = keys.signing_key()
    assert key is not None
    with ThreadPoolExecutor(4) as pool:  # as wheels are, side by side
        envelopes = list(pool.map(lambda number: sign({"number": number}, KIND, key), range(8)))
    assert open_signed(json.dumps(envelopes[3]).encode(), KIND, keys.trusted(), "it") == {"number": 3}
    assert opened(envelopes[3], KIND, [key.public.hexadecimal]) == {"number": 3}
    with pytest.raises(UsageError, match="cannot leave its token"):
        assert key.pem


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            ("object=signing", "object=other"),
            "the key other on the token the lab's cannot be used: NoSuchKey",
        ),
        (("token=the", "token=another"), "NoSuchToken"),
        (("softhsm2", "nothing"), "cannot open shared object file"),
        (("&pin-value=1234", "&pin-value=4321"), "PinIncorrect"),
        (("&pin-value=1234", "&pin-source=/nowhere"), "the PIN cannot be read: /nowhere"),
        ((";object=signing", ""), "lacks object"),
    ],
)
def test_a_key_that_a_token_does_not_give_is_explained(
    uri: str, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    keys = KeyFolder(tmp_path, f"{uri}&pin-value={PIN}".replace(*change))
    with pytest.raises(UsageError, match=reason) as error:
        keys.trusted()
    assert "percent-encoded" in error.value.hint
    assert PIN not in str(error.value)
