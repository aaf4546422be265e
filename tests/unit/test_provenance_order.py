"""An SBOM is a file of the wheel, so it has the same bytes whenever it is written."""

from __future__ import annotations

import json
import random

from crosswheel.provenance.sbom import Described, wheel_sbom
from crosswheel.wheels.materials import Material, Materials

FILES = tuple(f"demo/part{number}.so" for number in range(9))


def test_the_files_that_a_library_is_in_come_in_one_order() -> None:
    source = Material(role="source", name="demo", version="1.0", purl="pkg:pypi/demo@1.0")
    written = set()
    for seed in range(5):
        files = random.Random(seed).sample(FILES, len(FILES))
        library = Material(role="library", name="yaml", purl="pkg:generic/yaml@1", files=tuple(files))
        written.add(
            wheel_sbom(
                Described(name="demo", version="1.0", filename="demo-1.0-py3-none-any.whl"),
                Materials(source=source, linked=(library,)),
                315532800,
            )
        )
    (sbom,) = written
    (component,) = json.loads(sbom)["components"]
    assert [found["location"] for found in component["evidence"]["occurrences"]] == list(FILES)
