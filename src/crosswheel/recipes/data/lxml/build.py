from builder import package_build

package_build.build_package(libraries=["libxml2", "libxslt"], tests=["test_transform.py"])
