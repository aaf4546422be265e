"""Lists that are never changed are those of the part that is C."""

import pvectorc
from pyrsistent import freeze, pvector

wells = pvector(range(2000))
more = wells.append(2000).set(5, -5)
assert type(wells) is type(pvectorc.pvector())
assert (len(wells), wells[5], len(more), more[5]) == (2000, 5, 2001, -5)
assert freeze({"wells": [1]})["wells"][0] == 1
