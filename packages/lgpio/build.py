from builder import package_build

# Its published wheel says that it runs on any armv7l, and wants glibc 2.27.
package_build.build_package(
    prefer="source",
    build_dependencies=["swig"],
    environment={"PYPI": "1"},  # with the C library inside
    tests=["test_chip.py"],
)
