"""A decorated method keeps its name and knows its instance; a proxy stands for its object."""

import wrapt
from wrapt import _wrappers


@wrapt.decorator
def doubled(wrapped, instance, args, kwargs):
    assert instance is robot
    return 2 * wrapped(*args, **kwargs)


class Robot:
    @doubled
    def moved(self, steps):
        """Steps that it moved."""
        return steps


robot = Robot()
assert robot.moved(21) == 42
assert (Robot.moved.__name__, Robot.moved.__doc__) == ("moved", "Steps that it moved.")
proxy = wrapt.ObjectProxy([1, 2])
proxy.append(3)
assert isinstance(proxy, list)
assert proxy == [1, 2, 3]
assert issubclass(wrapt.ObjectProxy, _wrappers.ObjectProxy)
