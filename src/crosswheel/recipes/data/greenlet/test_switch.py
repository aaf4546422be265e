"""Greenlets switch back and forth, pass values, and unwind on an exception."""

import greenlet


def echo(first):
    received = [first]
    while len(received) < 100:
        received.append(main.switch(len(received)))
    return received


main = greenlet.getcurrent()
child = greenlet.greenlet(echo)
assert child.switch(0) == 1
for i in range(1, 99):
    assert child.switch(i) == i + 1
assert child.switch(99) == list(range(100))
assert child.dead


def fail():
    raise ValueError("from inside")


try:
    greenlet.greenlet(fail).switch()
except ValueError as error:
    assert str(error) == "from inside"
else:
    raise AssertionError("the exception did not reach the parent")
