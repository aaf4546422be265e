"""Messages go through the compiled (upb) implementation unchanged, as bytes and as JSON."""

from google.protobuf import json_format, struct_pb2, timestamp_pb2
from google.protobuf.internal import api_implementation

assert api_implementation.Type() == "upb"
value = struct_pb2.Struct()
value.update({"a": 0.5, "b": ["x", True, None], "c": {"d": "Prüfröhrchen"}})
again = struct_pb2.Struct.FromString(value.SerializeToString())
assert again == value
assert json_format.Parse(json_format.MessageToJson(value), struct_pb2.Struct()) == value
moment = timestamp_pb2.Timestamp(seconds=2**40, nanos=5)
assert timestamp_pb2.Timestamp.FromString(moment.SerializeToString()).seconds == 2**40
