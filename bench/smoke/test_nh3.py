"""A script is taken out of a page, and a link stays."""

import nh3

page = nh3.clean('<a href="/run" onclick="x()">run</a><script>alert(1)</script>')
assert "script" not in page
assert "onclick" not in page
assert 'href="/run"' in page
assert nh3.is_html("<b>x</b>")
assert not nh3.is_html("plain")
