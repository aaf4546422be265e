from builder import package_build

package_build.build_package(libraries=["geos"], tests=["test_shapes.py"])
