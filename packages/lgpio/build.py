from builder import package_build

package_build.build_package(
    build_dependencies=["swig"],
    environment={"PYPI": "1"},  # with the C library inside
    tests=["test_chip.py"],
)
