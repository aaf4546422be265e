"""The robot's libusb is loaded and asked for devices."""

import usb1

with usb1.USBContext() as context:
    assert context.getByVendorIDAndProductID(0x1234, 0x5678) is None
assert usb1.getVersion().major == 1
