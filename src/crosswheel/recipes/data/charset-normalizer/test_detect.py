"""The detector finds encodings; where it is compiled, mypyc chose its code for this machine's word size."""

import importlib.metadata

import charset_normalizer
from charset_normalizer import md

compiled = [file for file in importlib.metadata.files("charset-normalizer") or () if file.suffix == ".so"]
assert md.__file__.endswith(".so" if compiled else ".py"), md.__file__  # releases before 3 are pure
german = "Größenänderung der Prüfröhrchen, über alles gemessen. " * 20
russian = "Длина пробирок изменилась, и все измерения записаны. " * 20
# Which of several encodings that fit a text is taken for it, releases differ in: in this one, all agree.
for text, encoding in ((german, "utf_8"), (german, "utf_16"), (russian, "cp1251")):
    assert str(charset_normalizer.from_bytes(text.encode(encoding)).best()) == text, encoding
