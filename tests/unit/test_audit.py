"""Known vulnerabilities of wheels and of what is inside them: found, excepted and told; bad data are refused."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from crosswheel import targets
from crosswheel.audit.advisories import match
from crosswheel.audit.auditing import read_interpreter
from crosswheel.audit.database import LARGEST, read_database
from crosswheel.audit.subjects import subjects_of
from crosswheel.audit.version_ranges import CRATES, is_affected
from crosswheel.cli import app
from crosswheel.errors import CrosswheelError, IntegrityError
from crosswheel.provenance.closure import closure_sbom, taken_sbom
from crosswheel.provenance.parts import INTERPRETER, Part, parts_of_wheel, read_closure, read_sbom
from crosswheel.provenance.sbom import Described, wheel_sbom
from crosswheel.wheels.layout import CLOSURE_SUFFIX
from crosswheel.wheels.materials import Material, Materials, Patch
from support.wheels import make_wheel


@dataclass(frozen=True)
class Told:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*words: str) -> Told:
    """Run the command line in this process."""
    result = CliRunner().invoke(app, words)
    error = result.exception
    if isinstance(error, CrosswheelError):
        return Told(error.exit_code, result.stdout, f"{result.stderr}{error}\n{error.hint}")
    assert error is None or isinstance(error, SystemExit), result.exc_info
    return Told(result.exit_code, result.stdout, result.stderr)


OT2 = targets.load("ot2")
MATERIALS = Materials(
    source=Material(
        role="source",
        name="demo",
        version="1.0",
        purl="pkg:pypi/demo@1.0",
        sha256=("0" * 64,),
        patches=(Patch(name="mend.patch", sha256="1" * 64, text="--- a\n+++ b\n"),),
    ),
    linked=(
        Material(
            role="crate", name="ring", version="0.17.5", purl="pkg:cargo/ring@0.17.5", files=("demo.so",)
        ),
        Material(
            role="library",
            name="libyaml",
            version="0.2.1-1",
            purl="pkg:deb/debian/libyaml@0.2.1-1?arch=source&distro=bookworm",
            debian="libyaml",
            licence="MIT",
            files=("demo.so",),
        ),
        Material(
            role="library",
            name="openssl",
            version="3.0.15",
            purl="pkg:generic/openssl@3.0.15",
            debian="openssl",
            files=("demo.so",),
        ),
        Material(role="runtime", name="compiler_rt", version="0.15", purl="pkg:generic/zig@0.15"),
    ),
    requirements=(
        Material(role="requirement", name="setuptools", version="1.0", purl="pkg:pypi/setuptools@1.0"),
    ),
)


def advisory(
    name: str,
    ecosystem: str,
    package: str,
    *events: Mapping[str, str],
    kind: str = "ECOSYSTEM",
    **more: object,
) -> dict[str, object]:
    ranges = [{"type": kind, "events": list(events)}]
    affected = [{"package": {"ecosystem": ecosystem, "name": package}, "ranges": ranges}]
    facts = {
        "id": name,
        "modified": "2999-01-02T03:04:05Z",
        "summary": f"what {name} is",
        "affected": affected,
    }
    return {**facts, **more}


BEGIN = {"introduced": "0"}
DATABASE = [
    advisory("PYSEC-1", "PyPI", "Demo", BEGIN, {"fixed": "1.0.1"}, aliases=["CVE-2999-1"]),
    advisory("PYSEC-2", "PyPI", "demo", BEGIN, {"fixed": "1.0"}),
    advisory(
        "RUSTSEC-1", CRATES, "ring", {"introduced": "0.17.0-alpha"}, {"fixed": "0.17.12"}, kind="SEMVER"
    ),
    advisory("RUSTSEC-2", CRATES, "ring", BEGIN, {"fixed": "0.17.5"}, kind="SEMVER"),
    advisory("DSA-1", "Debian:12", "libyaml", BEGIN, {"fixed": "0.2.1-1+deb12u1"}),
    advisory("DSA-2", "Debian:11", "libyaml", BEGIN, {"fixed": "9"}),
    advisory("DSA-3", "Debian:12", "openssl", BEGIN, {"fixed": "3.0.14-1~deb12u2"}),
    advisory("DSA-4", "Debian:12", "openssl", BEGIN, {"fixed": "3.0.15-1~deb12u1"}),
    advisory("GONE-1", "PyPI", "demo", BEGIN, withdrawn="2025-01-01T00:00:00Z"),
    advisory("TOOL-1", "PyPI", "setuptools", BEGIN),
]
FOUND = {"PYSEC-1", "RUSTSEC-1", "DSA-1", "DSA-4"}


def demo_wheel(folder: Path, sbom: bytes | None = None) -> Path:
    data = (
        wheel_sbom(Described("demo", "1.0", "demo-1.0-py3-none-any.whl"), MATERIALS, 0)
        if sbom is None
        else sbom
    )
    files = {"demo.py": b""}
    return make_wheel(folder, "demo", "1.0", files, dist_info={"sboms/crosswheel.cdx.json": data})


def part_of(wheel: Path) -> Part:
    part, refusals = parts_of_wheel(wheel, "0" * 64)
    assert not refusals
    return part


def write_database(path: Path, records: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for record in records:
                archive.writestr(f"{record['id']}.json", json.dumps(record))
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    else:
        path.write_text(json.dumps(records))
    return path


@pytest.mark.parametrize("name", ["all.zip", "all.json", "all.jsonl", "folder/some.zip"])
def test_what_is_inside_a_wheel_is_found_in_every_form_of_the_database(tmp_path: Path, name: str) -> None:
    path = write_database(tmp_path / "osv" / name, DATABASE)
    subjects = subjects_of([part_of(demo_wheel(tmp_path))])
    matches = match(read_database(path.parent if "/" in name else path), subjects)
    assert {finding.id for finding in matches.findings} == FOUND
    assert matches.read == len(DATABASE)
    titles = {finding.id: finding.subject.title for finding in matches.findings}
    assert titles["DSA-1"] == "libyaml 0.2.1-1 in demo 1.0"
    assert [subject.part.name for subject in subjects.unnamed] == ["compiler_rt"]


@pytest.mark.parametrize(
    ("ecosystem", "events", "inside", "outside"),
    [
        ("PyPI", [BEGIN, {"fixed": "2.0"}], ["1.9", "2.0rc1"], ["2.0", "2.0.post1"]),
        ("PyPI", [{"introduced": "1.0"}, {"last_affected": "2.0"}], ["1.0", "2.0"], ["0.9", "2.0.1"]),
        ("PyPI", [BEGIN, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], ["0.1", "2.5"], ["1.5", "3"]),
        ("PyPI", [{"introduced": "2"}, {"fixed": "3"}, BEGIN, {"fixed": "1"}], ["0.1", "2.5"], ["1.5", "3"]),
        (CRATES, [BEGIN, {"fixed": "1.10.0"}], ["1.9.0", "1.10.0-rc.1"], ["1.10.0", "2.0.0"]),
        (
            "Debian",
            [BEGIN, {"fixed": "1:2.0-3+deb12u1"}],
            ["2.0-9", "1:2.0-3"],
            ["1:2.0-3+deb12u1", "1:2.0-10"],
        ),
        ("Debian", [BEGIN], ["1"], []),
        ("Debian", [BEGIN, {"limit": "*"}], ["1"], []),
    ],
)
def test_ranges_are_of_the_versions_between_their_events(
    ecosystem: str, events: list[dict[str, str]], inside: list[str], outside: list[str]
) -> None:
    stated = {"ranges": [{"type": "SEMVER" if ecosystem == CRATES else "ECOSYSTEM", "events": events}]}
    assert [version for version in inside if not is_affected(version, stated, ecosystem)] == []
    assert [version for version in outside if is_affected(version, stated, ecosystem)] == []


def test_a_version_that_is_listed_is_affected_whatever_the_ranges_say() -> None:
    assert is_affected("1.0", {"versions": ["1.0"], "ranges": []}, "PyPI")
    assert not is_affected(
        "1.0", {"versions": ["1.1"], "ranges": [{"type": "GIT", "events": [BEGIN]}]}, "PyPI"
    )


def test_what_cannot_be_compared_is_told_and_not_passed_over(tmp_path: Path) -> None:
    record = advisory("PYSEC-3", "PyPI", "demo", BEGIN, {"fixed": "what?"})
    matches = match([record], subjects_of([part_of(demo_wheel(tmp_path))]))
    assert matches.undecided == ["PYSEC-3: demo 1.0: 'what?' is no version that can be compared"]


DEEP = "[" * 100_000
BOMB = io.BytesIO()
with zipfile.ZipFile(BOMB, "w", zipfile.ZIP_DEFLATED) as bomb:
    bomb.writestr("bomb.json", b" " * (LARGEST + 1))
GOOD = io.BytesIO()
with zipfile.ZipFile(GOOD, "w", zipfile.ZIP_DEFLATED) as good:
    for number in range(3):
        good.writestr(f"{number}.json", json.dumps(advisory(f"PYSEC-{number}", "PyPI", "demo", BEGIN)))
FLIPPED = bytearray(GOOD.getvalue())
FLIPPED[80] ^= 1


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("all.zip", GOOD.getvalue()[:-30]),
        ("all.zip", GOOD.getvalue()[: len(GOOD.getvalue()) // 3]),
        ("all.zip", bytes(FLIPPED)),
        ("all.zip", BOMB.getvalue()),
        ("all.zip", b"no archive"),
        ("all.zip", b""),
        ("all.json", b'[{"id": "A", "affected": []}, {"id"'),
        ("all.json", b'[{"affected": []}]'),
        ("all.json", b"[3]"),
        ("all.json", b'[{"id": "A", "affected": [{"package": 3}]}]'),
        ("all.json", b'[{"id": "A", "modified": "yesterday"}]'),
        ("all.json", b'[{"id": "A", "summary": "' + b"a" * (LARGEST + (1 << 20)) + b'"}]'),
        ("all.json", f'[{{"id": {DEEP}'.encode()),
        ("all.json", DEEP.encode()),
        ("all.jsonl", DEEP.encode()),
        ("all.jsonl", b'{"id": "A"}\n{"id"'),
        ("all.jsonl", b" " * (LARGEST + 1) + b"{}"),
    ],
)
def test_a_database_that_is_damaged_or_hostile_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(IntegrityError):
        match(read_database(tmp_path / name), subjects_of([part_of(demo_wheel(tmp_path / "wheels"))]))


@pytest.mark.parametrize("name", ["all.zip", "all.json", "all.jsonl"])
def test_memory_does_not_grow_with_the_number_of_advisories(tmp_path: Path, name: str) -> None:
    record = advisory("PYSEC-1", "PyPI", "another", BEGIN, details="d" * 2000)
    path = write_database(tmp_path / name, [{**record, "id": f"PYSEC-{number}"} for number in range(1500)])
    subjects = subjects_of([part_of(demo_wheel(tmp_path / "wheels"))])
    match(
        read_database(write_database(tmp_path / f"first-{name}", [record])), subjects
    )  # what is loaded once
    tracemalloc.start()
    try:
        assert match(read_database(path), subjects).read == 1500
        assert tracemalloc.get_traced_memory()[1] < 1 << 20  # together, they have three times as much
    finally:
        tracemalloc.stop()


HOSTILE = [
    b"",
    b"not JSON, CycloneDX",
    b'{"bomFormat": "CycloneDX", "components": ' + DEEP.encode() + b"}",
    b'{"bomFormat": "CycloneDX", "components": {}}',
    b'{"bomFormat": "CycloneDX", "components": [3]}',
    b'{"bomFormat": "CycloneDX", "components": [{"name": 3}]}',
    b'{"bomFormat": "CycloneDX", "components": [{"name": "a", "purl": "no"}]}',
    b'{"bomFormat": "CycloneDX", "components": [{"name": "a", "licenses": {}}]}',
    b'{"bomFormat": "CycloneDX", "components": [{"name": "a", "hashes": [0]}]}',
    b'{"bomFormat": "CycloneDX", "metadata": []}',
    b'["CycloneDX"]',
    b'{"bomFormat": "CycloneDX", "components": [' + b'{"name": "a"},' * 20_000 + b'{"name": "a"}]}',
    b'{"bomFormat": "CycloneDX", "x": "' + b" " * (33 << 20) + b'"}',
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_sbom_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_sbom(data, "hostile.json")


def test_the_sbom_of_a_wheel_is_valid_and_the_same_for_the_same_materials(tmp_path: Path) -> None:
    described = Described("demo", "1.0", "demo-1.0-py3-none-any.whl", "MIT", kept={"a.cdx.json": b"{}"})
    data = wheel_sbom(described, MATERIALS, 0)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    assert data == wheel_sbom(described, MATERIALS, 0)
    assert data != wheel_sbom(described, MATERIALS.model_copy(update={"linked": ()}), 0)
    document = json.loads(data)
    pedigree = document["metadata"]["component"]["pedigree"]
    assert pedigree["ancestors"][0]["hashes"][0]["content"] == "0" * 64
    assert pedigree["patches"][0]["diff"]["text"]["content"].startswith("--- a")
    assert document["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"


def test_the_sbom_of_a_closure_has_each_wheel_with_its_parts_and_is_audited_the_same(tmp_path: Path) -> None:
    needed = make_wheel(tmp_path, "needed", "2.0", {"needed.py": b""}, requires=["absent; extra == 'x'"])
    root = make_wheel(tmp_path, "root", "1.0", {"root.py": b""}, requires=["Needed>=1", "demo"])
    wheels = dict.fromkeys([root, needed, demo_wheel(tmp_path)], "0" * 64)
    data = closure_sbom("root", wheels, OT2.marker_environment, 0)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    document = json.loads(data)
    assert document["metadata"]["component"]["name"] == "root"
    graph = {item["ref"]: item.get("dependsOn", []) for item in document["dependencies"]}
    required = [name.split("@")[0] for name in graph[document["metadata"]["component"]["bom-ref"]]]
    assert required == ["pkg:pypi/demo", "pkg:pypi/needed"]
    parts = read_closure(data, "closure")
    assert [part.name for part in parts] == ["root", "demo", "needed"]
    assert {finding.id for finding in match(DATABASE, subjects_of(parts)).findings} == FOUND
    assert data == closure_sbom("root", dict(reversed(wheels.items())), OT2.marker_environment, 0)


def test_a_python_that_is_sent_is_in_the_sbom_and_audited_as_debians_of_its_release(tmp_path: Path) -> None:
    inside = Part("zlib", "1.2", "pkg:generic/zlib@1.2", "zlib", "library")
    purl = "pkg:generic/cpython@3.13.5?distro=trixie"
    python = Part("cpython", "3.13.5", purl, "python3.13", INTERPRETER, "PSF-2.0", "0" * 64, (inside,))
    root = make_wheel(tmp_path, "root", "1.0", {"root.py": b""})
    data = closure_sbom("root", {root: "0" * 64}, OT2.marker_environment, 0, python)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    (tmp_path / f"{root.name}.ot2{CLOSURE_SUFFIX}").write_bytes(data)
    parts = read_interpreter(root, "ot2")
    assert parts == [python]
    assert read_interpreter(root, "flex") == []
    database = [
        advisory("DSA-5", "Debian:13", "python3.13", BEGIN, {"fixed": "3.13.5-2+deb13u1"}),
        advisory("DSA-6", "Debian:12", "python3.13", BEGIN),
        advisory("DSA-7", "Debian:13", "python3.13", BEGIN, {"fixed": "3.13.4-1"}),
        advisory("DSA-8", "Debian:12", "zlib", BEGIN, {"fixed": "1.3"}),
    ]
    assert {finding.id for finding in match(database, subjects_of(parts)).findings} == {"DSA-5", "DSA-8"}


def test_the_sbom_of_a_taken_wheel_tells_what_cannot_be_read_of_it(tmp_path: Path) -> None:
    wheel = demo_wheel(tmp_path, b'{"bomFormat": "CycloneDX", "components": [3]}')
    data = taken_sbom(wheel, "0" * 64, 0)
    assert taken_sbom(wheel, "0" * 64, 0) is data  # a batch asks for it again and again
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    assert b"crosswheel:unreadable" in data


def test_sarif_vex_and_a_table_tell_of_each_and_the_exit_code_is_1(tmp_path: Path) -> None:
    database = write_database(tmp_path / "all.zip", DATABASE)
    demo_wheel(tmp_path / "wheels")
    words = ["audit", "--index", str(tmp_path / "wheels"), "--osv", str(database)]
    for report in ("text", "sarif", "vex"):
        told = run_command(*words, "--format", report)
        assert told.returncode == 1
        assert all(name in told.stdout for name in FOUND)
        assert "the newest of 2999-01-02" in told.stderr
        if report == "vex":
            assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(told.stdout) is None
        if report == "sarif":
            results = json.loads(told.stdout)["runs"][0]["results"]
            assert {
                result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results
            } == {"demo-1.0-py3-none-any.whl"}


def test_an_exception_holds_until_its_day(tmp_path: Path) -> None:
    database = write_database(tmp_path / "all.jsonl", DATABASE[:1])
    demo_wheel(tmp_path / "wheels")
    words = [
        "audit",
        "--index",
        str(tmp_path / "wheels"),
        "--osv",
        str(database),
        "--exceptions",
        str(tmp_path / "excused.toml"),
    ]
    text = '[[exception]]\nid = "CVE-2999-1"\npackage = "Demo"\nreason = "not called"\nexpires = {}\n'
    (tmp_path / "excused.toml").write_text(text.format("2999-12-31"))
    told = run_command(*words)
    assert (told.returncode, told.stdout) == (0, "")
    assert "excepted until 2999-12-31: PYSEC-1 of demo 1.0: not called" in told.stderr
    (tmp_path / "excused.toml").write_text(text.format("2020-12-31"))
    told = run_command(*words)
    assert told.returncode == 1
    assert "the exception of CVE-2999-1 expired on 2020-12-31" in told.stderr


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("[[exception]]\nid = 'A'\n", "reason"),
        ("[[exception]]\nid = 'A'\nreason = 'r'\nexpires = 2999-01-01\nwhy = 1\n", "why"),
        ("[[exception", "cannot be read"),
    ],
)
def test_a_wrong_file_of_exceptions_is_named(tmp_path: Path, stated: str, message: str) -> None:
    (tmp_path / "excused.toml").write_text(stated)
    demo_wheel(tmp_path)
    words = ["audit", "--index", str(tmp_path), "--osv", "all.zip"]
    told = run_command(*words, "--exceptions", str(tmp_path / "excused.toml"))
    assert told.returncode == 2
    assert message in told.stderr


def test_an_old_database_is_refused_unless_its_age_is_allowed(tmp_path: Path) -> None:
    old = {**DATABASE[0], "modified": "2020-02-03T00:00:00Z"}
    database = write_database(tmp_path / "all.json", [old])
    demo_wheel(tmp_path / "wheels")
    words = ["audit", "--index", str(tmp_path / "wheels"), "--osv", str(database)]
    told = run_command(*words)
    assert told.returncode == 2
    assert "is of 2020-02-03" in told.stderr
    assert run_command(*words, "--max-age", "100000").returncode == 1


def test_a_hostile_sbom_in_a_wheel_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    demo_wheel(tmp_path / "wheels", b'{"bomFormat": "CycloneDX", "components": [3]}')
    database = write_database(tmp_path / "all.zip", DATABASE)
    words = [
        "audit",
        "--index",
        str(tmp_path / "wheels"),
        "--osv",
        str(database),
        "-o",
        str(tmp_path / "out"),
    ]
    told = run_command(*words)
    assert told.returncode == 2
    assert "demo-1.0.dist-info/sboms/crosswheel.cdx.json" in told.stderr
    assert not (tmp_path / "out").exists()


class _Osv(BaseHTTPRequestHandler):
    """A service with OSV's interface that knows the database above, a page for each question at first."""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        queries = json.loads(self.rfile.read(length))["queries"]
        self._answer({"results": [self._result(query) for query in queries]})

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        if "page_token" not in query:
            return {"next_page_token": "second"}
        package = query["package"]
        named = [record for record in DATABASE if record["affected"][0]["package"] == package]  # type: ignore[index]
        return {"vulns": [{"id": record["id"]} for record in named]}

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self._answer(next(record for record in DATABASE if record["id"] == name))

    def _answer(self, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Osv)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_service_is_asked_and_what_it_names_is_judged_here(tmp_path: Path, service: str) -> None:
    demo_wheel(tmp_path)
    told = run_command("audit", "--index", str(tmp_path), "--osv", service, "--format", "sarif")
    assert told.returncode == 1
    # Its names are spelled as the wheel spells them; what it names and does not hold is left out.
    found = {result["ruleId"] for result in json.loads(told.stdout)["runs"][0]["results"]}
    assert found == FOUND - {"PYSEC-1"}
