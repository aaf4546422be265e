"""Messages go from thread to thread and through a file socket; keys for encryption can be made."""

import threading

import zmq

context = zmq.Context()
pull = context.socket(zmq.PULL)
pull.bind("inproc://steps")


def push():
    with context.socket(zmq.PUSH) as socket:
        socket.connect("inproc://steps")
        for number in range(1000):
            socket.send_pyobj({"step": number})


sender = threading.Thread(target=push)
sender.start()
assert [pull.recv_pyobj()["step"] for _ in range(1000)] == list(range(1000))
sender.join()
server, client = context.socket(zmq.REP), context.socket(zmq.REQ)
server.bind("ipc://socket")
client.connect("ipc://socket")
client.send(b"x" * 100_000, copy=False)
assert len(server.recv()) == 100_000
server.send_json({"fine": True})
assert client.recv_json() == {"fine": True}
public, secret = zmq.curve_keypair()
assert zmq.curve_public(secret) == public
context.destroy()
