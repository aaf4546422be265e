from builder import package_build

package_build.build_package(environment={"CHARSET_NORMALIZER_USE_MYPYC": "1"}, tests=["test_detect.py"])
