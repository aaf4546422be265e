"""Answers of a card are taken apart; without a service for readers there is an error, not a crash."""

import smartcard.scard as scard
from smartcard.ATR import ATR
from smartcard.util import toBytes, toHexString

assert toHexString(toBytes("A0 A4 00")) == "A0 A4 00"
assert ATR([0x3B, 0x9E, 0x95, 0x80, 0x1F, 0xC3, 0x80, 0x31, 0xA0, 0x73, 0xBE, 0x21]).isT0Supported()
result, _ = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
assert result != scard.SCARD_S_SUCCESS
assert scard.SCardGetErrorMessage(result)
assert scard.SCARD_CTL_CODE(1) == 0x42000001
