"""Names of services are known, and messages of D-Bus go through the compiled code unchanged."""

import asyncio

import bleak
from bleak.uuids import normalize_uuid_str, uuidstr_to_str
from dbus_fast import Message, Variant
from dbus_fast._private import marshaller
from dbus_fast._private.unmarshaller import Unmarshaller

assert marshaller.__file__.endswith(".so"), marshaller.__file__
assert uuidstr_to_str(normalize_uuid_str("180f")) == "Battery Service"
message = Message(
    destination="org.bluez", path="/org/bluez", interface="org.bluez.Adapter1", member="SetDiscoveryFilter",
    signature="a{sv}", body=[{"RSSI": Variant("n", -70), "UUIDs": Variant("as", ["180f"])}], serial=7,
)  # fmt: skip
import io  # noqa: E402

again = Unmarshaller(io.BytesIO(message._marshall(False))).unmarshall()
assert again.body[0]["RSSI"].value == -70
assert again.member == "SetDiscoveryFilter"


async def main():
    try:
        await bleak.BleakScanner.discover(timeout=0.1)
    except Exception as error:  # there is no Bluetooth here, whatever form that takes
        print("no Bluetooth:", error)


asyncio.run(main())
