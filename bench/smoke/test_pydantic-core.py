"""Values are validated, converted and written as JSON by a schema; wrong ones are told of, each with its place."""

from pydantic_core import SchemaSerializer, SchemaValidator, ValidationError, core_schema

schema = core_schema.typed_dict_schema(
    {
        "volume": core_schema.typed_dict_field(core_schema.float_schema(gt=0)),
        "wells": core_schema.typed_dict_field(
            core_schema.list_schema(core_schema.str_schema(pattern="^[A-H]1?[0-9]$"))
        ),
        "count": core_schema.typed_dict_field(core_schema.int_schema()),
    }
)
validator = SchemaValidator(schema)
value = validator.validate_json(b'{"volume": "1.5", "wells": ["A1", "H12"], "count": 12345678901234567890}')
assert value == {"volume": 1.5, "wells": ["A1", "H12"], "count": 12345678901234567890}
assert b'"wells":["A1","H12"]' in SchemaSerializer(schema).to_json(value)
try:
    validator.validate_python({"volume": -1, "wells": ["Z9"], "count": "many"})
except ValidationError as error:
    assert [fault["loc"] for fault in error.errors()] == [("volume",), ("wells", 0), ("count",)]
else:
    raise AssertionError("wrong values were accepted")
