from builder import package_build

# It takes netCDF 4.9.0 to have functions that came with 4.9.1: the patch.
package_build.build_package(libraries=["netcdf"], patches=["rc.patch"], tests=["test_filters.py"])
