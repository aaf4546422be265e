from builder import package_build

# What it would otherwise load the library for, to ask it.
package_build.build_package(libraries=["hdf5"], environment={"H5PY_ROS3": "0", "H5PY_DIRECT_VFD": "0"})
