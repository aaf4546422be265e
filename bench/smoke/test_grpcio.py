"""A server and a client talk over a socket: one call, a stream of answers, and an error."""

from concurrent.futures import ThreadPoolExecutor

import grpc


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/lab/double":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: 2 * request)
        if details.method == "/lab/count":
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: (bytes([n]) for n in request)
            )
        return None


server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
server.add_insecure_port("unix:socket")
server.start()
with grpc.insecure_channel("unix:socket") as channel:
    assert channel.unary_unary("/lab/double")(b"robot", timeout=120) == b"robotrobot"
    assert list(channel.unary_stream("/lab/count")(b"\x01\x02", timeout=120)) == [b"\x01", b"\x02"]
    try:
        channel.unary_unary("/lab/nothing")(b"", timeout=120)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
server.stop(0).wait()
