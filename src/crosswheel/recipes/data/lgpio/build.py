from builder import package_build

# Its interface file has names of Python 2, which newer versions of SWIG no longer give a meaning.
package_build.build_package(
    build_dependencies=["swig<4.3"],
    environment={"PYPI": "1"},  # with the C library inside
    tests=["test_chip.py"],
)
