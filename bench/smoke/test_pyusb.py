"""The robot's libusb is found and asked for devices, and requests are put together."""

import usb.backend.libusb1
import usb.core
import usb.util

backend = usb.backend.libusb1.get_backend(find_library=lambda name: "libusb-1.0.so.0")
assert backend is not None
assert usb.core.find(idVendor=0x1234, idProduct=0x5678, backend=backend) is None
kind = usb.util.build_request_type(
    usb.util.CTRL_IN, usb.util.CTRL_TYPE_VENDOR, usb.util.CTRL_RECIPIENT_DEVICE
)
assert kind == 0xC0
