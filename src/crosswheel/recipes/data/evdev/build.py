from builder import package_build

# Its names of keys come from the kernel's headers: those of the target, not of the machine that builds.
package_build.build_package(patches=["headers.patch"], libraries=["linux"], tests=["test_codes.py"])
