"""Text is found in a page by selectors."""

from selectolax.lexbor import LexborHTMLParser

page = "<table><tr><td class=well>A1<td class=well>B2<tr><td>rest</table>"
tree = LexborHTMLParser(page)
assert [node.text() for node in tree.css("td.well")] == ["A1", "B2"]
assert tree.css_first("tr:last-child > td").text() == "rest"
