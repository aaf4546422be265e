"""An answer is written and read as it goes over the network, by the parts that were compiled."""

import socket

from zeroconf import DNSAddress, DNSOutgoing, DNSPointer, const
from zeroconf._protocol import incoming, outgoing
from zeroconf._protocol.incoming import DNSIncoming

assert incoming.__file__.endswith(".so")
assert outgoing.__file__.endswith(".so")
answer = DNSOutgoing(const._FLAGS_QR_RESPONSE | const._FLAGS_AA)
pointer = DNSPointer("_http._tcp.local.", const._TYPE_PTR, const._CLASS_IN, 120, "ot2._http._tcp.local.")
address = DNSAddress("ot2.local.", const._TYPE_A, const._CLASS_IN, 120, socket.inet_aton("10.0.0.7"))
answer.add_answer_at_time(pointer, 0)
answer.add_answer_at_time(address, 0)
(packet,) = answer.packets()
read = DNSIncoming(packet)
assert read.valid
assert {record.name for record in read.answers()} == {"_http._tcp.local.", "ot2.local."}
