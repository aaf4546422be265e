"""The C loader and dumper are there and agree with the Python ones."""

import yaml

assert yaml.__with_libyaml__
text = "robot: {name: ot2, pipettes: [p20, p300], volume: 1.5}\n"
loaded = yaml.load(text, Loader=yaml.CSafeLoader)
assert (
    loaded == yaml.safe_load(text) == {"robot": {"name": "ot2", "pipettes": ["p20", "p300"], "volume": 1.5}}
)
assert yaml.dump(loaded, Dumper=yaml.CSafeDumper) == yaml.safe_dump(loaded)
