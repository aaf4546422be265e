"""Messages of D-Bus are written and read, by the parts that were compiled."""

from dbus_fast import Message, Variant
from dbus_fast._private import marshaller, unmarshaller
from dbus_fast.unpack import unpack_variants

assert marshaller.__file__.endswith(".so")
assert unmarshaller.__file__.endswith(".so")
body = ["org.bluez.Device1", {"Name": Variant("s", "scale"), "RSSI": Variant("n", -60)}]
message = Message(
    path="/org/bluez/hci0", interface="org.freedesktop.DBus.Properties", member="PropertiesChanged",
    signature="sa{sv}", body=body, serial=5, destination="org.bluez",
)  # fmt: skip
data = bytes(message._marshall(False))
assert data[0] in b"lB"
assert b"org.bluez.Device1" in data
assert unpack_variants(body[1]) == {"Name": "scale", "RSSI": -60}
