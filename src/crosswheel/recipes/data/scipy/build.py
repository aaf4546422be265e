from builder import package_build

package_build.build_package(libraries=["openblas"], tests=["test_compute.py"])
