"""What is dangerous in a page is escaped once, by the part that is C."""

from markupsafe import Markup, _speedups, escape

assert _speedups._escape_inner("<A1 & 'B2'>") == "&lt;A1 &amp; &#39;B2&#39;&gt;"
assert escape("<b>") == Markup("&lt;b&gt;")
assert escape(Markup("<b>")) == "<b>"
assert Markup("<em>%s</em>") % "<x>" == "<em>&lt;x&gt;</em>"
