from builder import package_build

package_build.build_package(
    libraries=["hdf5"],
    # Its setup.py loads the target's library to ask whether it has these; told, it does not. It also asks the numpy of
    # the building machine for a type that the target has not: the patch.
    environment={"H5PY_ROS3": "0", "H5PY_DIRECT_VFD": "0"},
    patches=["complex256.patch"],
)
