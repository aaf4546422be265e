from builder import package_build

# Its module imports ruamel.yaml, which requires it: neither says so.
package_build.build_package(tests=["test_parse.py"], test_requires=["ruamel.yaml"])
