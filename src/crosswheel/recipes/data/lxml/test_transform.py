"""XML and HTML are read, searched, checked and transformed."""

import io

from lxml import etree, html, objectify

tree = etree.fromstring(b"<deck><slot n='1'>tips</slot><slot n='2'>R\xc3\xb6hrchen</slot></deck>")
assert tree.xpath("string(slot[@n=2])") == "Röhrchen"
style = etree.XSLT(
    etree.XML(
        '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/">'
        '<all n="{count(//slot)}"><x:value-of select="//slot[1]"/></all></x:template></x:stylesheet>'
    )
)
assert etree.tostring(style(tree).getroot()) == b'<all n="2">tips</all>'
rules = etree.RelaxNG(
    etree.XML('<element name="deck" xmlns="http://relaxng.org/ns/structure/1.0"><empty/></element>')
)
assert not rules.validate(tree)
page = html.fromstring("<p>one<p>two <b>three")
assert page.text_content() == "onetwo three"
assert objectify.fromstring("<a><b>7</b></a>").b + 1 == 8
for _, element in etree.iterparse(io.BytesIO(b"<a>" + b"<b>x</b>" * 10000 + b"</a>"), tag="b"):
    element.clear()
latin = etree.fromstring("<?xml version='1.0' encoding='iso-8859-1'?><a>ü</a>".encode("latin-1"))
assert latin.text == "ü"
