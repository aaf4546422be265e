from builder import package_build

# Without yajl it builds a pure wheel, and says nothing.
package_build.build_package(
    libraries=["yajl"], environment={"IJSON_BUILD_YAJL2C": "1"}, tests=["test_parse.py"]
)
