from builder import package_build

package_build.build_package(libraries=["mariadb"], tests=["test_client.py"])
