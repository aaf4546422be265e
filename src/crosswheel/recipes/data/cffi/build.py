from builder import package_build

package_build.build_package(libraries=["libffi"], tests=["test_call.py"])
