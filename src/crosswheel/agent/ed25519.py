"""Verifies Ed25519 signatures (RFC 8032); it signs nothing, so it handles no secret.

Python's standard library has no Ed25519. Points have extended coordinates (RFC 8032, section 5.1.4):
``(X, Y, Z, T)`` with ``x = X/Z``, ``y = Y/Z`` and ``x * y = T/Z``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Point = tuple[int, int, int, int]

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_NEUTRAL = (0, 1, 1, 0)


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the private key of ``public`` signed a message.

    Every encoding has to be canonical, so that nobody can derive a second valid signature from another.
    """
    if len(public) != 32 or len(signature) != 64:
        return False
    key, scalar = _decoded(public), int.from_bytes(signature[32:], "little")
    if key is None or _is_of_small_order(key) or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    return _encoded(_combined(scalar, challenge, _negative(key))) == signature[:32]


def _combined(of_base: int, of_key: int, key: Point) -> Point:
    """Return ``of_base * B + of_key * key``, where ``B`` is the curve's base point."""
    base = _base()
    terms = (None, base, key, _sum(base, key))
    result = _NEUTRAL
    for bit in range(max(of_base.bit_length(), of_key.bit_length()) - 1, -1, -1):
        result = _sum(result, result)
        term = terms[(of_base >> bit & 1) | (of_key >> bit & 1) << 1]
        if term is not None:
            result = _sum(result, term)
    return result


def _is_of_small_order(point: Point) -> bool:
    """Tell whether a point is one of the eight of small order: with such a key, anybody can forge signatures."""
    for _ in range(3):
        point = _sum(point, point)
    return point[0] % _P == 0 and (point[1] - point[2]) % _P == 0


def _sum(one: Point, two: Point) -> Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c = 2 * one[3] * two[3] * _D % _P
    d = 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _negative(point: Point) -> Point:
    return _P - point[0], point[1], point[2], _P - point[3]


def _base() -> Point:
    point = _decoded(b"\x58" + b"\x66" * 31)
    assert point is not None
    return point


def _encoded(point: Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decoded(data: bytes) -> Point | None:
    """Return the point that 32 bytes encode (RFC 8032, section 5.1.3), or ``None``."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P
