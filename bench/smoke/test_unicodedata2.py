"""Characters have names and forms of the newest Unicode."""

import unicodedata2

assert int(unicodedata2.unidata_version.split(".")[0]) >= 16
assert unicodedata2.name("µ") == "MICRO SIGN"
assert unicodedata2.normalize("NFKC", "µ") == "μ"
assert unicodedata2.lookup("GREEK SMALL LETTER MU") == "μ"
assert unicodedata2.category("é") == "Ll"
