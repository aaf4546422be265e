from builder import package_build

package_build.build_package(
    libraries=["libyaml"],
    environment={"PYYAML_FORCE_LIBYAML": "1"},  # or it builds without, and says nothing
    tests=["test_libyaml.py"],
)
