"""The compiled detector finds encodings; mypyc chose its code for this machine's word size."""

import charset_normalizer
from charset_normalizer import md

assert md.__file__.endswith(".so"), md.__file__
text = "Größenänderung der Prüfröhrchen, über alles gemessen. " * 20
for encoding in ("utf_8", "utf_16", "cp1252"):
    assert str(charset_normalizer.from_bytes(text.encode(encoding)).best()) == text, encoding
