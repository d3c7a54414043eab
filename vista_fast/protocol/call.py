"""The JSON of one tool call, in every shape in use, to a ToolCall or to an error that a model can act on."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from vista_fast.types import ToolCall, ToolError

MAX_CHARACTERS: Final = 65_536
"""A longer call is refused unread, so that no call costs more than a bounded time."""

MAX_DIGITS: Final = 40
"""An integer with more digits is refused, because converting it takes time quadratic in their number."""

MAX_DEPTH: Final = 32
"""A call whose arrays and objects are nested deeper is refused, so that whoever walks the arguments may recurse."""

_EXAMPLE: Final = '{"name": "TOOL", "arguments": {...}}'
_BESIDE: Final = frozenset({"id", "type"})  # what OpenAI clients write beside "name"; it carries no argument


def parse_call(text: str) -> tuple[ToolCall | None, ToolError | None]:
    """Reads what stands between ``<tool_call>`` and ``</tool_call>``; exactly one of the two results is set.

    Accepted: ``{"name", "arguments"}`` (OpenAI, Qwen, DeepEyes), ``{"tool", "task", "arguments"}`` with task and
    arguments optional (VISTA-R1; the task becomes the argument "task"), and ``{"tool", "parameters"}`` or the
    parameters flat beside "tool" (VISTA-Gym). The arguments may be an object, null, or a string that holds an object's
    JSON. Raw control characters in strings are allowed; NaN, infinities and lone surrogates are not. Never raises.
    """
    try:
        return _shaped(_object(text, "the tool call")), None
    except _BrokenCall as broken:
        return None, ToolError("E1", f"{broken} Write one JSON object: {_EXAMPLE}")


class _BrokenCall(Exception):
    """The call can't be read; the message is a sentence for the model."""


def _shaped(call: dict[str, Any]) -> ToolCall:
    """The ToolCall that an object of one of the known shapes stands for."""
    key = "tool" if "tool" in call else "name"
    rest = dict(call)
    name = rest.pop(key, None)
    if not isinstance(name, str) or not name.strip():
        raise _BrokenCall('The call names no tool: "name" must be a non-empty string.')
    containers = [container for container in ("arguments", "parameters") if container in rest]
    if len(containers) > 1:
        raise _BrokenCall('The call has both "arguments" and "parameters"; give one of them.')
    if not containers:
        if key == "name" and rest.keys() - _BESIDE:
            raise _BrokenCall(f'{_quoted(rest.keys() - _BESIDE)} must stand inside "arguments".')
        return ToolCall(name.strip(), rest if key == "tool" else {})
    arguments = _arguments(rest.pop(containers[0]), containers[0])
    if key == "tool" and rest.get("task") is not None:
        arguments.setdefault("task", rest["task"])
    if beside := rest.keys() - _BESIDE - ({"task"} if key == "tool" else set()):
        raise _BrokenCall(f'{_quoted(beside)} must stand inside "{containers[0]}".')
    return ToolCall(name.strip(), arguments)


def _arguments(value: Any, container: str) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        return _object(value, f'the string in "{container}"')
    if not isinstance(value, dict):
        raise _BrokenCall(f'"{container}" must be an object, not {_json_type(value)}.')
    return dict(value)


def _object(text: str, what: str) -> dict[str, Any]:
    """The JSON object that a text holds, checked to be safe to pass on."""
    if len(text) > MAX_CHARACTERS:
        raise _BrokenCall(f"{_capital(what)} is {len(text)} characters long; at most {MAX_CHARACTERS} are read.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _BrokenCall(f"{_capital(what)} is not valid JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise _BrokenCall(f"{_capital(what)} is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError as error:  # from the decoder's own hooks below
        raise _BrokenCall(f"{_capital(what)} holds a number that can't be used: {error}.") from None
    if not isinstance(value, dict):
        raise _BrokenCall(f"{_capital(what)} must be a JSON object, not {_json_type(value)}.")
    _check_tree(value, what)
    return value


def _check_tree(value: dict[str, Any], what: str) -> None:
    """Refuses what the layers below could choke on: deep nesting and strings that no encoding can hold."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        for item in level:
            for text in item if isinstance(item, dict) else (item,):
                if isinstance(text, str) and not text.isascii() and not _encodable(text):
                    raise _BrokenCall(f"{_capital(what)} holds half of a surrogate pair, which is no character.")
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise _BrokenCall(f"{_capital(what)} is nested more than {MAX_DEPTH} levels deep.")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"it has {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("it is too large")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")


_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_finite, parse_constant=_refuse_constant, strict=False
)


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")


def _quoted(keys: set[str]) -> str:
    """A few of the keys, each cut to a readable length, in a stable order."""
    shown = sorted(keys)[:3]
    return ", ".join(json.dumps(key[:40]) for key in shown) + (", …" if len(keys) > len(shown) else "")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
