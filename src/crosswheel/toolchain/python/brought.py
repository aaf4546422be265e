"""Complete a Python that is sent to a machine: time zones and certificates, for an image that has none.

The image's own come first, because its vendor or its owner keeps them. The data are those of the ``tzdata`` and
``certifi`` releases that crosswheel itself is pinned to.
"""

from __future__ import annotations

import shutil
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import certifi
from packageurl import PackageURL

from crosswheel.errors import BuildFailed
from crosswheel.process import Runner
from crosswheel.provenance.parts import INTERPRETER, Part, part_of
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.libraries.library_materials import library_materials
from crosswheel.toolchain.python.built import linked_libraries, source_of
from crosswheel.wheels.materials import Material

# sysconfig knows where zones lie on any Linux; after those comes the folder that is sent along.
_ZONES_BEFORE = 'sysconfig.get_config_var("TZPATH")'
_ZONES = f"{_ZONES_BEFORE} + os.pathsep + os.path.join(sys.base_prefix, 'share', 'zoneinfo')"
_CERTIFICATES = '''

# Appended by crosswheel, which sent this Python here.

def _with_sent_certificates(load):
    def set_default_verify_paths(self):
        """Trust the machine's certificates; where it has none, those that came with this Python."""
        load(self)
        paths = get_default_verify_paths()
        has_some = paths.cafile or (paths.capath and os.access(paths.capath, os.R_OK) and os.listdir(paths.capath))
        sent = os.path.join(sys.base_prefix, "etc", "ssl", "cert.pem")
        if not has_some and os.path.isfile(sent):
            self.load_verify_locations(sent)

    return set_default_verify_paths

SSLContext.set_default_verify_paths = _with_sent_certificates(SSLContext.set_default_verify_paths)
'''
_DATA = {"tzdata": "Apache-2.0", "certifi": "MPL-2.0"}


def python_part(target: Target, settings: Settings, runner: Runner) -> Part | None:
    """Return the Python that a target is sent, with what is linked into it; ``None`` if it has its own.

    Raises: as :func:`~crosswheel.toolchain.python.built.built_python`, if it was not built yet.
    """
    if not target.python.provided:
        return None
    source, parts = source_of(target), [*_data_materials()]
    for library in linked_libraries(target, settings, runner):
        parts += library_materials(library)
    # The suite tells which of Debian's advisories are about this release.
    distro = {"distro": source.suite} if source.suite else None
    return Part(
        "cpython",
        source.version,
        PackageURL("generic", None, "cpython", source.version, distro).to_string(),
        source.package,
        INTERPRETER,
        "PSF-2.0",
        source.sha256,
        tuple(part_of(material) for material in parts),
    )


def data_versions() -> dict[str, str]:
    """Return the versions of what :func:`complete` adds, by name."""
    return {name: version(name) for name in _DATA}


def _data_materials() -> list[Material]:
    """Return the releases whose data :func:`complete` adds."""
    return [
        Material(
            role="library",
            name=name,
            version=version(name),
            purl=f"pkg:pypi/{name}@{version(name)}",
            licence=licence,
        )
        for name, licence in _DATA.items()
    ]


def complete(prefix: Path, short: str) -> None:
    """Add time zones and certificates to an unpacked Python, and let its standard library look there last.

    Args:
        prefix: the folder with ``bin`` and ``lib``.
        short: its minor version, such as ``3.13``.

    Raises:
        BuildFailed: its standard library looks for them in another way than any known one.
    """
    library = prefix / "lib" / f"python{short}"
    finder = library / "zoneinfo" / "_tzpath.py"
    text = finder.read_text()
    if text.count(_ZONES_BEFORE) != 1 or "import os\n" not in text:
        raise BuildFailed(
            f"Python {short} looks for time zones in a way that crosswheel does not know",
            hint="use a Python of a version that docs/targets.md lists.",
        )
    finder.write_text(
        text.replace("import os\n", "import os\nimport sys\n", 1).replace(_ZONES_BEFORE, _ZONES)
    )
    with (library / "ssl.py").open("a") as stream:
        stream.write(_CERTIFICATES)
    with resources.as_file(resources.files("tzdata") / "zoneinfo") as zones:
        shutil.copytree(
            zones, prefix / "share" / "zoneinfo", ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
    certificates = prefix / "etc" / "ssl" / "cert.pem"
    certificates.parent.mkdir(parents=True)
    shutil.copyfile(certifi.where(), certificates)
