from builder import package_build

package_build.build_package(tests=["test_messages.py"])
