from builder import package_build

package_build.build_package(
    # Releases before 3.4 do not say that they want mypy. Compiled as it is, mypy 1.20 crashes on the published
    # CPython 3.10.8, on which builds for the OT-2 run.
    build_dependencies=["mypy<1.20"],
    environment={"CHARSET_NORMALIZER_USE_MYPYC": "1"},
    tests=["test_detect.py"],
)
