"""Lengths follow from rules; a rule that cannot be kept is refused."""

from kiwisolver import Solver, UnsatisfiableConstraint, Variable

left, right, middle = Variable("left"), Variable("right"), Variable("middle")
solver = Solver()
for rule in (left >= 10, right == left + 80, middle == (left + right) / 2):
    solver.addConstraint(rule)
solver.addEditVariable(right, "strong")
solver.suggestValue(right, 120)
solver.updateVariables()
assert (left.value(), right.value(), middle.value()) == (40, 120, 80)
try:
    solver.addConstraint(middle == 0)
    solver.addConstraint(left == 5)
except UnsatisfiableConstraint:
    pass
else:
    raise AssertionError("what cannot be was accepted")
