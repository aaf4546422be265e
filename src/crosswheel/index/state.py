"""What an index was made from: lets the next one read only new wheels, and write only changed pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib import metadata, resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crosswheel.files import write_text
from crosswheel.index.failures import Failures
from crosswheel.index.scan import IndexedWheel, Known

_FILE = ".crosswheel.json"


class State(BaseModel):
    """What a site was made from; lies in the site as a hidden file, and may be deleted at any time.

    Attributes:
        reader: what read the wheels; entries of another are not taken over.
        known: entries by the path of the wheel.
        projects: for each project, the digest of all that its pages were made from.
        failures: what could not be built.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reader: str
    known: Mapping[str, Known] = Field(default_factory=dict)
    projects: Mapping[str, str] = Field(default_factory=dict)
    failures: Failures = Failures()

    @classmethod
    def load(cls, site: Path) -> State:
        """Return a site's state; an empty one if it has none, or one that other code wrote."""
        reader = code_digest()
        try:
            state = cls.model_validate_json((site / _FILE).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return cls(reader=reader)
        return state if state.reader == reader else cls(reader=reader)

    def of(self, wheels: Iterable[IndexedWheel], projects: Mapping[str, str], failures: Failures) -> State:
        """Return the state of a site that was made from these."""
        known = {wheel.found.location: self._known(wheel) for wheel in wheels}
        return State(reader=self.reader, known=known, projects=projects, failures=failures)

    def _known(self, wheel: IndexedWheel) -> Known:
        before = self.known.get(wheel.found.location)
        if before and before.stamp == wheel.found.stamp:
            return before
        return Known(stamp=wheel.found.stamp, entry=wheel.entry)

    def save(self, site: Path) -> None:
        """Write the state into the site."""
        write_text(site / _FILE, self.model_dump_json())


def code_digest() -> str:
    """Return a digest of the code, templates and libraries that decide what pages look like."""
    digest = hashlib.sha256()
    for library in ("jinja2", "nh3", "packaging", "readme-renderer"):
        digest.update(f"{library} {metadata.version(library)}\n".encode())
    pending = [resources.files("crosswheel.index")]
    while pending:
        for item in sorted(pending.pop().iterdir(), key=lambda item: item.name):
            if item.is_dir() and item.name != "__pycache__":
                pending.append(item)
            elif item.is_file():
                digest.update(item.read_bytes())
    return digest.hexdigest()[:20]
