from builder import package_build

# Its build asks for this by itself, and is done once more: all that needs cffi would wait for that.
package_build.build_package(libraries=["libffi"], tests=["test_call.py"])
