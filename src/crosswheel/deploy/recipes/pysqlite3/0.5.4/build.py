"""CPython's own sqlite3 module, as a package of its own: the Python of the look-alike robot comes without."""

from builder import package_build

package_build.build_package(
    source=package_build.pypi_source(name="pysqlite3", version="0.5.4"),
    libraries=["sqlite"],
    as_of="2025-04-25",
)
