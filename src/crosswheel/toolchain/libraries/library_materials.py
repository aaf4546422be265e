"""Return a C library of the toolchain as materials, for SBOMs."""

from __future__ import annotations

from packageurl import PackageURL

from crosswheel.debian.mirrors import SUITE
from crosswheel.toolchain.libraries.linking import Library
from crosswheel.toolchain.libraries.origins import read_origins
from crosswheel.wheels.materials import Material


def library_materials(library: Library) -> list[Material]:
    """Return a library of the toolchain as materials: one for each source package that it is built from.

    Of a source that it has parts of as Debian built them, and parts as its authors released them, there are two.
    """
    origins = {(origin.source, origin.as_released): origin for origin in read_origins(library.prefix)}
    qualifiers = {"arch": "source", "distro": SUITE}
    return [
        Material(
            role="library",
            name=library.name,
            version=origin.version,
            purl=(
                PackageURL("generic", None, library.name, origin.version)
                if origin.as_released or origin.source is None
                else PackageURL("deb", "debian", origin.source, origin.version, qualifiers)
            ).to_string(),
            licence=library.licence,
            sha256=(origin.sha256,),
            debian=origin.source,
        )
        for origin in origins.values()
    ] or [Material(role="library", name=library.name)]
