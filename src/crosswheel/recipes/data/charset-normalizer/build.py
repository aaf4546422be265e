from builder import package_build

# Releases before 3.4 do not say that they want mypy.
package_build.build_package(
    build_dependencies=["mypy"], environment={"CHARSET_NORMALIZER_USE_MYPYC": "1"}, tests=["test_detect.py"]
)
