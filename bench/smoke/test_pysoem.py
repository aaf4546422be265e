"""The EtherCAT master answers; an interface that is not there is refused."""

import pysoem

master = pysoem.Master()
assert pysoem.al_status_code_to_string(0x0011) == "Invalid requested state change"
try:
    master.open("there-is-none")
except ConnectionError:
    pass
else:
    raise AssertionError("an interface that is not there was opened")
