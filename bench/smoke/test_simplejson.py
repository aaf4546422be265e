"""JSON is written and read by the compiled parts, decimals exactly."""

from decimal import Decimal

import simplejson
from simplejson import encoder, scanner

assert encoder.c_make_encoder
assert scanner.c_make_scanner
value = {"a": [1, -1, 2**70, 0.1, None, True], "b": "Prüfröhrchen \u2028", "c": {"d": []}}
assert simplejson.loads(simplejson.dumps(value)) == value
assert simplejson.loads("1.10", use_decimal=True) == Decimal("1.10")
assert simplejson.dumps(Decimal("1.10"), use_decimal=True) == "1.10"
try:
    simplejson.loads('{"a": 1,}')
except simplejson.JSONDecodeError:
    pass
else:
    raise AssertionError("what is no JSON was accepted")
