"""Its code runs, looks which board this is, and says that it is none."""

try:
    import RPi.GPIO  # noqa: F401
except RuntimeError as error:
    assert "Raspberry Pi" in str(error), error
