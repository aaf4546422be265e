"""Addresses are taken apart, joined and quoted, by the compiled part."""

from yarl import URL, _quoting

assert _quoting._Quoter.__module__ == "yarl._quoting_c"
url = URL("http://user@robot:31950/runs/Prüfung?name=a b#top")
assert (url.host, url.port, url.path, url.query["name"]) == ("robot", 31950, "/runs/Prüfung", "a b")
assert url.raw_path == "/runs/Pr%C3%BCfung"
assert str(URL("http://robot") / "runs" / "1" % {"all": "yes & no"}) == "http://robot/runs/1?all=yes+%26+no"
assert url.join(URL("../health")).path == "/health"
