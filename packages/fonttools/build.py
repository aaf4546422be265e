from builder import package_build

package_build.build_package(build_dependencies=["cython"], environment={"FONTTOOLS_WITH_CYTHON": "1"})
