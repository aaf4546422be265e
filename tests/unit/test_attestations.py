"""A public CI's identity attests wheels (PEP 740): the index links what is about its bytes, and claims no more.

The services of sigstore run here, with an authority and logs of their own; the public ones are never asked.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pypi_attestations import AttestationType, Distribution, GitHubPublisher, Provenance, VerificationError
from pypi_simple import ProjectPage
from sigstore.models import ClientTrustConfig
from sigstore.verify import Verifier

from crosswheel.errors import IntegrityError
from crosswheel.index.site import write_site
from crosswheel.wheels.attestations import fault_of
from support.sigstore_services import SigstoreServices, claims_of
from support.sites import add_wheel, prove, tree
from support.typed import Run, commands_in

URL = "https://wheels.example.org/robots"
NAME = "demo-1.0-py3-none-any.whl"


@pytest.fixture
def services() -> Iterator[SigstoreServices]:
    with SigstoreServices() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two wheels, where commands run."""
    prove(add_wheel(tmp_path / "dist", "demo", "1.0"))
    add_wheel(tmp_path / "dist", "other", "1")
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the folder, in no CI, and gives what it printed, in one line."""
    ambient = ("GITHUB_", "ACTIONS_", "GITLAB_", "CIRCLE", "BUILDKITE", "SIGSTORE_", "GOOGLE_", "CROSSWHEEL_")
    typed = commands_in(folder, monkeypatch, capsys, ambient)
    return lambda *arguments, **more: " ".join(typed(*arguments, **more).split())


@pytest.fixture
def attested(folder: Path, run: Run, services: SigstoreServices) -> Path:
    """The attestations of the first wheel."""
    said = run("attest", "--sigstore-config", str(services.write_config(folder)), **services.variables)
    assert said == "2 wheels attested by GitHub lab/robots, 0 that were."
    return folder / "dist/demo/1.0" / f"{NAME}.provenance"


def page_of(site: Path, name: str = "demo") -> ProjectPage:
    page = json.loads((site / f"simple/{name}/index.json").read_text())
    return ProjectPage.from_json_data(page)


def links(site: Path) -> list[str | None]:
    """Return the addresses of attestations of a project, the same in both forms of its page."""
    html = ProjectPage.from_html("demo", (site / "simple/demo/index.html").read_text())
    stated = [package.provenance_url for package in page_of(site).packages]
    assert stated == [package.provenance_url for package in html.packages]
    return stated


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the statement of the attestations in a file."""
    whole = json.loads(path.read_text())
    envelope = whole["attestation_bundles"][0]["attestations"][0]["envelope"]
    statement = json.loads(base64.b64decode(envelope["statement"]))
    edit(statement)
    envelope["statement"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.unlink()  # the index has a link to the same file
    path.write_text(json.dumps(whole))


def test_a_reader_verifies_the_attestations_that_the_index_links(
    attested: Path, folder: Path, services: SigstoreServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_site(folder / "dist", folder / "site", root_url=URL)
    assert links(folder / "site") == [f"{URL}/simple/demo/{NAME}.provenance"]
    assert page_of(folder / "site").repository_version == "1.3"
    served = (folder / f"site/simple/demo/{NAME}.provenance").read_text()
    (bundle,) = Provenance.model_validate_json(served).attestation_bundles
    assert bundle.publisher == GitHubPublisher(repository="lab/robots", workflow="production.yml")
    (attestation,) = bundle.attestations
    trust = ClientTrustConfig.from_json(services.write_config(folder).read_text()).trusted_root
    monkeypatch.setattr(Verifier, "production", lambda offline: Verifier(trusted_root=trust))
    wheel = Distribution.from_file(folder / f"site/simple/demo/{NAME}")
    kind, predicate = attestation.verify(bundle.publisher, wheel)
    assert (kind, predicate) == (AttestationType.PYPI_PUBLISH_V1, None)
    with pytest.raises(VerificationError, match="does not match"):
        attestation.verify(GitHubPublisher(repository="lab/robots", workflow="another.yml"), wheel)
    with pytest.raises(VerificationError, match="distribution digest"):
        attestation.verify(bundle.publisher, wheel.model_copy(update={"digest": "0" * 64}))


def test_pages_name_no_attestations_by_relative_links(attested: Path, folder: Path) -> None:
    for root_url in (None, "http://wheels.example.org"):  # the standard wants a secure origin
        write_site(folder / "dist", folder / "site", root_url=root_url)
        assert links(folder / "site") == [None]
        assert page_of(folder / "site").repository_version == "1.1"
    assert (folder / f"site/simple/demo/{NAME}.provenance").is_file()


def test_what_is_attested_is_not_attested_anew(
    attested: Path, folder: Path, run: Run, services: SigstoreServices
) -> None:
    before = attested.read_bytes()
    add_wheel(folder / "dist", "third", "1")
    config = str(folder / "sigstore.json")
    said = run("attest", "--sigstore-config", config, **services.variables)
    assert said == "1 wheels attested by GitHub lab/robots, 2 that were."
    assert services.entries == 3
    assert attested.read_bytes() == before


def other_name(statement: dict[str, Any]) -> None:
    statement["subject"][0]["name"] = "other-1.0-py3-none-any.whl"


def two_subjects(statement: dict[str, Any]) -> None:
    statement["subject"] *= 2


def no_digest(statement: dict[str, Any]) -> None:
    statement["subject"][0]["digest"] = {"sha512": "0"}


@pytest.mark.parametrize("edit", [other_name, two_subjects, no_digest])
def test_attestations_of_something_else_are_not_put_into_the_index(
    attested: Path, folder: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    write_site(folder / "dist", folder / "site", root_url=URL)
    before = tree(folder / "site")
    change(attested, edit)
    with pytest.raises(IntegrityError, match="does not attest the wheel beside it") as caught:
        write_site(folder / "dist", folder / "site", root_url=URL)
    assert "crosswheel attest" in caught.value.hint
    assert tree(folder / "site") == before


def test_attestations_of_other_bytes_are_not_put_into_the_index(
    attested: Path, folder: Path, run: Run, services: SigstoreServices
) -> None:
    wheel = add_wheel(folder / "dist", "demo", "1.0", body=b"answer = 43\n")
    prove(wheel)
    with pytest.raises(IntegrityError, match="it is about other bytes"):
        write_site(folder / "dist", folder / "site", root_url=URL)
    run("attest", "--sigstore-config", str(folder / "sigstore.json"), **services.variables)  # the remedy
    write_site(folder / "dist", folder / "site", root_url=URL)
    assert links(folder / "site") == [f"{URL}/simple/demo/{NAME}.provenance"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2, "attestation_bundles": []}', '{"version": 1, "attestation_bundles": []}'],
)
def test_what_is_not_of_the_standards_form_is_refused(text: str) -> None:
    assert "not of the form of PEP 740" in (fault_of(text.encode(), NAME, "0" * 64) or "")


def test_without_an_identity_nothing_is_claimed(folder: Path, run: Run) -> None:
    before = tree(folder)
    said = run("attest", code=2)
    assert "nothing is attested: there is no identity of a public CI here" in said
    assert "id-token: write" in said
    assert tree(folder) == before


def test_a_job_that_may_not_have_an_identity_is_told_what_it_lacks(folder: Path, run: Run) -> None:
    before = tree(folder)
    said = run("attest", code=2, GITHUB_ACTIONS="true")
    assert "this CI gives no usable identity" in said
    assert "id-token: write" in said
    assert tree(folder) == before


def test_an_identity_that_is_no_workflow_attests_nothing(
    folder: Path, run: Run, services: SigstoreServices
) -> None:
    services.claims = {**claims_of(), "iss": "https://accounts.example.org"}
    before, config = tree(folder), services.write_config(folder)
    said = run("attest", "--sigstore-config", str(config), code=2, **services.variables)
    assert "https://accounts.example.org identifies no workflow" in said
    assert {**before, "sigstore.json": config.read_bytes()} == tree(folder)


def test_a_service_that_fails_leaves_no_attestation(
    folder: Path, run: Run, services: SigstoreServices
) -> None:
    services.failing = True
    config = services.write_config(folder)
    said = run("attest", "--sigstore-config", str(config), code=2, **services.variables)
    assert "a service of sigstore's could not be reached, or refused" in said
    assert not list(folder.rglob("*.provenance"))


def test_an_answer_of_the_log_that_does_not_verify_is_not_believed(
    folder: Path, run: Run, services: SigstoreServices
) -> None:
    services.signs_other = True
    config = services.write_config(folder)
    said = run("attest", "--sigstore-config", str(config), code=2, **services.variables)
    assert "does not verify: log entry signatures do not match" in said
    assert not list(folder.rglob("*.provenance"))


def test_a_service_of_another_trust_root_is_not_believed(
    folder: Path, run: Run, services: SigstoreServices
) -> None:
    with SigstoreServices() as others:
        config = json.loads(services.write_config(folder).read_text())
        config["trustedRoot"] = json.loads(others.write_config(folder).read_text())["trustedRoot"]
    (folder / "sigstore.json").write_text(json.dumps(config))
    said = run("attest", "--sigstore-config", str(folder / "sigstore.json"), code=2, **services.variables)
    assert "could not be reached, or refused" in said or "does not verify" in said
    assert not list(folder.rglob("*.provenance"))


def test_a_configuration_that_cannot_be_read_is_named(
    folder: Path, run: Run, services: SigstoreServices
) -> None:
    (folder / "sigstore.json").write_text("{}")
    said = run("attest", "--sigstore-config", str(folder / "sigstore.json"), code=2, **services.variables)
    assert "sigstore.json is no trust configuration of sigstore's" in said


def test_without_the_extra_it_is_told_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypi_attestations", None)
    assert "crosswheel[sigstore]" in run("attest", code=2)


def test_publishing_attests_what_the_channel_lacks(
    folder: Path, run: Run, services: SigstoreServices
) -> None:
    run("index")
    config, channel = str(services.write_config(folder)), folder / "channel"
    words = ("publish", "--to", str(channel), "--attest", "--sigstore-config", config)
    assert "full https URL" in run(*words, code=2, **services.variables)
    assert "nothing is attested" in run(*words, "--index-root-url", URL, code=2)
    assert not channel.exists()
    said = run(*words, "--index-root-url", URL, **services.variables)
    assert said.count("attested") == 2
    assert links(channel) == [f"{URL}/simple/demo/{NAME}.provenance"]
    provenance = channel / f"simple/demo/{NAME}.provenance"
    assert fault_of(provenance.read_bytes(), NAME, page_of(channel).packages[0].digests["sha256"]) is None
    again = run(*words, **services.variables)
    assert "attested" not in again
    assert services.entries == 2
    change(provenance, other_name)  # by somebody who can write to the store
    run("publish", "--to", str(channel))
    assert links(channel) == [None]


def test_attestations_beside_wheels_are_published_with_them(attested: Path, folder: Path, run: Run) -> None:
    run("index")
    run("publish", "--to", "channel", "--index-root-url", URL)
    assert links(folder / "channel") == [f"{URL}/simple/demo/{NAME}.provenance"]
    assert (folder / f"channel/simple/demo/{NAME}.provenance").read_bytes() == attested.read_bytes()
