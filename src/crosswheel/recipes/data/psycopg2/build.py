from builder import package_build

package_build.build_package(libraries=["libpq"])
