from builder import package_build

package_build.build_package(
    patches=["no-udev.patch"],
    libraries=["libusb"],
    without={"hidraw": "it wants libudev, and libusb does the same work"},
    tests=["test_devices.py"],
)
