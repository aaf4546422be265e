from builder import package_build

package_build.build_package(libraries=["openssl"], tests=["test_encrypt.py"])
