"""Greenlets take turns, a socket pair and a pool of threads work with them; the compiled loop is there."""

import gevent
import gevent.event
import gevent.pool
import gevent.queue
import gevent.socket
import gevent.threadpool
from gevent.libev import corecext

assert corecext.get_version().startswith("libev")
order = []


def work(name):
    for number in range(3):
        order.append((name, number))
        gevent.sleep(0)


gevent.joinall([gevent.spawn(work, "a"), gevent.spawn(work, "b")])
assert order[:4] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
one, two = gevent.socket.socketpair()
reader = gevent.spawn(two.recv, 10)
gevent.sleep(0.01)
one.sendall(b"robot")
assert reader.get(timeout=30) == b"robot"
assert gevent.pool.Pool(3).map(lambda n: n * n, range(10)) == [n * n for n in range(10)]
assert gevent.threadpool.ThreadPool(2).apply(sum, ([1, 2, 3],)) == 6
with gevent.Timeout(0.05, False):
    gevent.sleep(60)
from gevent.resolver import cares  # noqa: E402

assert cares.channel
