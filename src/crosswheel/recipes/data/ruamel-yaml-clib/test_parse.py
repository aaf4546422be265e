"""YAML is read and written by the compiled parser."""

import io

import _ruamel_yaml
import ruamel.yaml

text = "steps:\n- {well: A1, volume: 10.5}\n- {well: Prüfröhrchen, volume: 1}\n"
yaml = ruamel.yaml.YAML(typ="safe", pure=False)
loaded = yaml.load(text)
assert loaded == {"steps": [{"well": "A1", "volume": 10.5}, {"well": "Prüfröhrchen", "volume": 1}]}
assert issubclass(ruamel.yaml.CParser, _ruamel_yaml.CParser)
stream = io.StringIO()
yaml.dump(loaded, stream)
assert yaml.load(stream.getvalue()) == loaded
