from builder import package_build

reason = "it wants NUMPY_EXPERIMENTAL_DTYPE_API, and is only for numpy's own tests"
package_build.build_package(
    libraries=["openblas"],
    tests=["test_arrays.py"],
    skip_imports={"numpy.core._umath_tests": reason, "numpy._core._umath_tests": reason},
)
