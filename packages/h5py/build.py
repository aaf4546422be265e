from builder import package_build

package_build.build_package(
    libraries=["hdf5"],
    # What it would otherwise load the library for, to ask it; and ask this machine's numpy.
    environment={"H5PY_ROS3": "0", "H5PY_DIRECT_VFD": "0"},
    patches=["complex256.patch"],
)
