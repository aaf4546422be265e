from builder import package_build

# Without this it builds a pure wheel, and leaves its extension modules out.
package_build.build_package(build_dependencies=["cython"], environment={"FONTTOOLS_WITH_CYTHON": "1"})
