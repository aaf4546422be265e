from builder import package_build

package_build.build_package(
    tests=["test_arrays.py"],
    skip_imports={
        "numpy.core._umath_tests": "it wants NUMPY_EXPERIMENTAL_DTYPE_API, and is only for numpy's own tests"
    },
)
