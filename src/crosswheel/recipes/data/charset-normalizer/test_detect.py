"""The detector finds encodings; where it is compiled, mypyc chose its code for this machine's word size."""

import importlib.metadata

import charset_normalizer
from charset_normalizer import md

compiled = [file for file in importlib.metadata.files("charset-normalizer") or () if file.suffix == ".so"]
assert md.__file__.endswith(".so" if compiled else ".py"), md.__file__  # releases before 3 are pure
text = "Größenänderung der Prüfröhrchen, über alles gemessen. " * 20
for encoding in ("utf_8", "utf_16", "cp1252"):
    assert str(charset_normalizer.from_bytes(text.encode(encoding)).best()) == text, encoding
