"""Report the findings of an audit to tools: as SARIF 2.1.0, and as VEX in CycloneDX 1.6."""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Any

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.impact_analysis import ImpactAnalysisState
from cyclonedx.model.tool import ToolRepository
from cyclonedx.model.vulnerability import (
    BomTarget,
    VulnerabilityAnalysis,
    VulnerabilityReference,
    VulnerabilitySource,
)
from cyclonedx.model.vulnerability import Vulnerability as CycloneDxVulnerability
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from crosswheel import __version__
from crosswheel.audit.advisories import Vulnerability
from crosswheel.audit.exceptions import AuditException, AuditVerdict

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(verdict: AuditVerdict) -> str:
    """Return a verdict as SARIF: a rule for each advisory, and a result for each affected part.

    An ignored finding is a suppressed result, with the reason.
    """
    every = [(finding, None) for finding in verdict.counted] + list(verdict.excepted)
    rules = {finding.id: _rule(finding) for finding, _ in every}
    driver = {"name": "crosswheel audit", "version": __version__, "rules": list(rules.values())}
    run = {"tool": {"driver": driver}, "results": [_result(finding, item) for finding, item in every]}
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(finding: Vulnerability) -> dict[str, Any]:
    rule = {"id": finding.id, "shortDescription": {"text": finding.summary or finding.id}}
    return {**rule, "properties": {"tags": ["security", *finding.aliases]}}


def _result(finding: Vulnerability, exception: AuditException | None) -> dict[str, Any]:
    wheel = finding.subject.way[0]
    url = PackageURL.from_string(wheel.purl) if wheel.purl else None
    qualifiers = url.qualifiers if url and isinstance(url.qualifiers, dict) else {}
    place = qualifiers.get("file_name", wheel.name)
    mended = f"; mended in {', '.join(finding.fixed)}" if finding.fixed else ""
    key = f"{finding.id} {finding.subject.title}"
    result = {
        "ruleId": finding.id,
        "level": "error",
        "message": {"text": f"{finding.subject.title}: {finding.summary or finding.id}{mended}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": place}}}],
        "partialFingerprints": {"crosswheel/v1": hashlib.sha256(key.encode()).hexdigest()},
    }
    if exception:
        result["suppressions"] = [{"kind": "external", "justification": exception.reason}]
    return result


def vex(verdict: AuditVerdict, time: datetime.datetime | None) -> str:
    """Return a verdict as CycloneDX VEX: the affected parts, and the assessment of each advisory.

    Args:
        time: the database's time; ``None`` for a service.
    """
    every = [(finding, None) for finding in verdict.counted] + list(verdict.excepted)
    components = {_ref(finding): _component(finding) for finding, _ in every}
    tool = Component(name="crosswheel", version=__version__, type=ComponentType.APPLICATION)
    bom = Bom(
        components=components.values(),
        vulnerabilities=[_vulnerability(finding, item) for finding, item in every],
        metadata=BomMetaData(tools=ToolRepository(components=[tool]), timestamp=time),
    )
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _ref(finding: Vulnerability) -> str:
    return " in ".join(part.purl or part.name for part in reversed(finding.subject.way))


def _component(finding: Vulnerability) -> Component:
    part = finding.subject.part
    url = PackageURL.from_string(part.purl) if part.purl else None
    kind = ComponentType.LIBRARY
    return Component(name=part.name, version=part.version, type=kind, purl=url, bom_ref=_ref(finding))


def _vulnerability(finding: Vulnerability, exception: AuditException | None) -> CycloneDxVulnerability:
    state = ImpactAnalysisState(exception.state) if exception else ImpactAnalysisState.IN_TRIAGE
    detail = f"{exception.reason} (until {exception.expires})" if exception else None
    source = VulnerabilitySource(name="OSV")
    return CycloneDxVulnerability(
        id=finding.id,
        source=source,
        description=finding.summary or None,
        references=[VulnerabilityReference(id=alias, source=source) for alias in finding.aliases],
        recommendation=f"mended in {', '.join(finding.fixed)}" if finding.fixed else None,
        affects=[BomTarget(ref=_ref(finding))],
        analysis=VulnerabilityAnalysis(state=state, detail=detail),
    )


def summary_of(finding: Vulnerability) -> tuple[str, str, str, str]:
    """Return a finding as a row: the advisory's identifiers, the part, the fixed versions, and the summary."""
    aliases = f" ({', '.join(finding.aliases[:3])})" if finding.aliases else ""
    mended = ", ".join(finding.fixed) or "-"
    return f"{finding.id}{aliases}", finding.subject.title, mended, finding.summary
