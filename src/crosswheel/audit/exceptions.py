"""Read reviewed exceptions: advisories to ignore, each with a reason and an expiry day."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crosswheel.audit.advisories import Vulnerability
from crosswheel.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class AuditException(BaseModel):
    """An advisory to ignore.

    Attributes:
        id: its identifier, or one of its aliases.
        package: the part for which it is ignored; every part, if not given.
        reason: the reason, for reviewers.
        expires: the day from which it counts again.
        state: the assessment, in VEX's vocabulary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1)]
    package: str | None = None
    reason: Annotated[str, Field(min_length=1)]
    expires: datetime.date
    state: Literal["not_affected", "false_positive", "exploitable", "in_triage"] = "in_triage"

    def is_of(self, finding: Vulnerability) -> bool:
        """Return whether it applies to a finding, regardless of the day."""
        part = finding.subject.part.name
        fits = self.package is None or canonicalize_name(self.package) == canonicalize_name(part)
        return fits and self.id in finding.names


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    exception: tuple[AuditException, ...] = ()


@dataclass(frozen=True)
class AuditVerdict:
    """The findings after applying exceptions.

    Attributes:
        counted: the findings that count.
        excepted: the ignored ones, each with its exception.
        expired: exceptions that match a finding, but have expired.
        unused: exceptions that match no finding.
    """

    counted: tuple[Vulnerability, ...]
    excepted: tuple[tuple[Vulnerability, AuditException], ...] = ()
    expired: tuple[AuditException, ...] = ()
    unused: tuple[AuditException, ...] = ()


def read_exceptions(path: Path) -> Sequence[AuditException]:
    """Read a file of exceptions (TOML).

    Raises:
        UsageError: it is missing or malformed.
    """
    try:
        return _File.model_validate(tomllib.loads(path.read_text())).exception
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}", hint="name the file of exceptions.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="it is TOML; see docs/audit.md.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(
            f"{path} is wrong: {faults}",
            hint="each [[exception]] has an id, a reason and the day on which it expires; see docs/audit.md.",
        ) from error


def apply_exceptions(
    findings: Iterable[Vulnerability], exceptions: Sequence[AuditException], today: datetime.date
) -> AuditVerdict:
    """Apply exceptions to findings, as of a day."""
    counted, excepted, concerned = list[Vulnerability](), [], set[AuditException]()
    for finding in findings:
        fitting = [item for item in exceptions if item.is_of(finding)]
        concerned.update(fitting)
        holding = next((item for item in fitting if today < item.expires), None)
        if holding:
            excepted.append((finding, holding))
        else:
            counted.append(finding)
    expired = tuple(item for item in exceptions if item in concerned and today >= item.expires)
    unused = tuple(item for item in exceptions if item not in concerned)
    return AuditVerdict(tuple(counted), tuple(excepted), expired, unused)
