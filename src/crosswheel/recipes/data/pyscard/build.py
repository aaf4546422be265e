from builder import package_build

package_build.build_package(build_dependencies=["swig"], libraries=["pcsc"], tests=["test_service.py"])
