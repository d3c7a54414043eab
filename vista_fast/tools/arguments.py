"""Checks a call's arguments against the tool's JSON schema, with messages that a model can act on."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from vista_fast.tools.tool import ToolFailure

_MAX_SHOWN = 80
_MAX_NAME = 64


def check_arguments(tool: str, parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments without those that are null and not required.

    Raises:
        ToolFailure: E2 for an argument name that is unknown or missing, E3 for a value of the wrong type or range.
    """
    properties: Mapping[str, Mapping[str, Any]] = parameters.get("properties", {})
    required = parameters.get("required", ())
    unknown = [name for name in arguments if name not in properties]
    if unknown:
        raise ToolFailure("E2", f"{tool} has no argument {shown(unknown[0])}. {_valid(properties, unknown[0])}")
    given = {name: value for name, value in arguments.items() if value is not None or name in required}
    missing = [name for name in required if name not in given]
    if missing:
        raise ToolFailure("E2", f"{tool} needs the argument {shown(missing[0])}: {_described(properties[missing[0]])}")
    for name, value in given.items():
        problem = _problem(properties[name], value)
        if problem:
            raise ToolFailure("E3", f"{name} must be {problem}, got {shown(value)}.")
    return {name: _exact(properties[name], value) for name, value in given.items()}


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a misspelt name most likely means."""
    # Bounded, because matching takes time quadratic in the length.
    close = difflib.get_close_matches(name[:_MAX_NAME], list(candidates), n=1, cutoff=0.5)
    return close[0] if close else None


def shown(value: object) -> str:
    """A value as JSON, cut to a readable length."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _valid(properties: Mapping[str, Any], unknown: str) -> str:
    if not properties:
        return "It takes no arguments."
    close = nearest(unknown, properties)
    hint = f" Did you mean {shown(close)}?" if close else ""
    return f"Its arguments are {', '.join(properties)}.{hint}"


def _described(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description") or _expected(schema) + ".")


def _problem(schema: Mapping[str, Any], value: Any) -> str | None:
    """What the value should have been, or None when it is fine."""
    fits = _has_type(schema, value) and _in_range(schema, value) and value in schema.get("enum", (value,))
    if fits and isinstance(value, (list, tuple)):
        items = schema.get("items", {})
        fits = all(_problem(items, item) is None for item in value)
    return None if fits else _expected(schema)


def _has_type(schema: Mapping[str, Any], value: Any) -> bool:
    kind = schema.get("type")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "number":
        return number and _finite(value)
    if kind == "integer":
        return number and _finite(value) and value == int(value)
    kinds: dict[Any, tuple[type, ...]] = {
        "string": (str,),
        "boolean": (bool,),
        "array": (list, tuple),
        "object": (dict,),
        "null": (type(None),),
    }
    return isinstance(value, kinds.get(kind, object))


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the floats
        return False


def _in_range(schema: Mapping[str, Any], value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)))
    if isinstance(value, (int, float)):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def _exact(schema: Mapping[str, Any], value: Any) -> Any:
    """The value in its schema's own type, so that 1 and 1.0 written for an integer are one call."""
    return int(value) if schema.get("type") == "integer" else value


def _expected(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(shown(choice) for choice in schema["enum"])
    kind = schema.get("type", "a value")
    if kind == "array":
        return f"a list of {_count(schema)}{_plural(schema.get('items', {}))}"
    names = {"integer": "a whole number", "number": "a number", "string": "a string", "boolean": "true or false"}
    return names.get(kind, f"of type {kind}") + _range(schema)


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def _count(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minItems"), schema.get("maxItems")
    return f"{low} " if low is not None and low == high else ""


def _plural(items: Mapping[str, Any]) -> str:
    names = {"integer": "whole numbers", "number": "numbers", "string": "strings", "array": "lists"}
    return names.get(items.get("type", ""), "values")
