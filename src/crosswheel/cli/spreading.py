"""Lets commands take options that belong together as one value, and still have each on the command line."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose parameters are the fields of its dataclasses.

    A parameter whose type is a dataclass is replaced by the fields, which are annotated for typer; the command itself
    is called with the dataclass made from their values.
    """
    groups: dict[str, Any] = {
        name: kind for name, kind in _kinds(command).items() if dataclasses.is_dataclass(kind)
    }

    @functools.wraps(command)
    def spread_out(**arguments: Any) -> None:
        values = {
            name: kind(**{field.name: arguments.pop(field.name) for field in dataclasses.fields(kind)})
            for name, kind in groups.items()
        }
        command(**arguments, **values)

    parameters = list(_parameters(command))
    spread_out.__dict__.pop("__wrapped__")
    spread_out.__dict__["__signature__"] = inspect.Signature(parameters)
    spread_out.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread_out


def _parameters(command: Callable[..., None]) -> Iterator[inspect.Parameter]:
    kinds = _kinds(command)
    for name, parameter in inspect.signature(command).parameters.items():
        kind = kinds[name]
        if not dataclasses.is_dataclass(kind):
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind)
            continue
        hints = _kinds(kind)
        for field in dataclasses.fields(kind):
            default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
            yield inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
            )


def _kinds(owner: Any) -> dict[str, Any]:
    """Return the annotations of a function's parameters or a class's fields."""
    # Of a function, older Pythons would make each with None as its default optional once more, around its annotation.
    scope = vars(inspect.getmodule(owner))
    bare = SimpleNamespace(__annotations__=owner.__annotations__)
    return get_type_hints(bare, globalns=scope, include_extras=True)
