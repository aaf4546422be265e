"""Values go through OPC UA's binary form unchanged, and names of nodes are read."""

from opcua import ua
from opcua.common.utils import Buffer
from opcua.ua.ua_binary import from_binary, to_binary

value = ua.DataValue(ua.Variant([1.5, -2.5], ua.VariantType.Double))
again = from_binary("DataValue", Buffer(to_binary("DataValue", value)))
assert again.Value.Value == [1.5, -2.5]
node = ua.NodeId.from_string("ns=2;s=Robot.Temperature")
assert (node.NamespaceIndex, node.Identifier) == (2, "Robot.Temperature")
assert from_binary("NodeId", Buffer(to_binary("NodeId", node))) == node
