"""parse_call: the shapes of a call that are in use, and errors that a model can act on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vista_fast.protocol import parse_call
from vista_fast.protocol.call import MAX_CHARACTERS, MAX_DEPTH
from vista_fast.types import ToolCall


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        # OpenAI, Qwen, DeepEyes
        ('{"name": "zoom", "arguments": {"bbox_2d": [0, 0, 1, 1]}}', "zoom", {"bbox_2d": [0, 0, 1, 1]}),
        ('{"name": "ocr", "arguments": "{\\"region\\": null}"}', "ocr", {"region": None}),
        ('{"name": "ocr", "arguments": {}}', "ocr", {}),
        ('{"name": "ocr", "arguments": null}', "ocr", {}),
        ('{"name": "ocr", "arguments": ""}', "ocr", {}),
        ('{"name": "ocr"}', "ocr", {}),
        ('{"id": "call_1", "type": "function", "name": "ocr", "arguments": {}}', "ocr", {}),
        ('{"name": "ocr", "parameters": {"a": 1}}', "ocr", {"a": 1}),
        # the paper
        (
            '{"tool": "SAM", "task": "box", "arguments": {"box": [1, 2, 3, 4]}}',
            "SAM",
            {"task": "box", "box": [1, 2, 3, 4]},
        ),
        ('{"tool": "ChartMoE", "task": "to_table"}', "ChartMoE", {"task": "to_table"}),
        ('{"tool": "EasyOCR", "task": null, "arguments": {}}', "EasyOCR", {}),
        ('{"tool": "x", "task": "outer", "arguments": {"task": "inner"}}', "x", {"task": "inner"}),
        ('{"tool": "EasyOCR"}', "EasyOCR", {}),
        # VISTA-Gym
        ('{"tool": "grounding_dino", "parameters": {"caption": "dog"}}', "grounding_dino", {"caption": "dog"}),
        (
            '{"tool": "grounding_dino", "caption": "dog", "box_threshold": 0.3}',
            "grounding_dino",
            {"caption": "dog", "box_threshold": 0.3},
        ),
        (
            '{"tool": "multimath_server", "task": "solve", "question": "?"}',
            "multimath_server",
            {"task": "solve", "question": "?"},
        ),
        # what models do to JSON
        ('\n  {"name": " ocr ", "arguments": {"a": "line\nbreak"}}  \n', "ocr", {"a": "line\nbreak"}),
        ('{"name": "ocr", "arguments": {"word": "Größe 数"}}', "ocr", {"word": "Größe 数"}),
        ('{"name": "ocr", "arguments": {"pair": "\\ud83d\\ude00"}}', "ocr", {"pair": "😀"}),
    ],
)
def test_accepted_shapes(text: str, name: str, arguments: dict[str, object]) -> None:
    assert parse_call(text) == (ToolCall(name, arguments), None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("zoom(1, 2)", "not valid JSON"),
        ('{"name": "ocr"', "not valid JSON"),
        ('{"name": "ocr"} {"name": "ocr"}', "not valid JSON"),
        ("{'name': 'ocr'}", "not valid JSON"),
        ('["ocr"]', "not an array"),
        ('"ocr"', "not a string"),
        ("null", "not null"),
        ("true", "not a boolean"),
        ("7", "not a number"),
        ("{}", "names no tool"),
        ('{"arguments": {}}', "names no tool"),
        ('{"name": 7, "arguments": {}}', "names no tool"),
        ('{"name": "  "}', "names no tool"),
        ('{"tool": null, "name": "ocr"}', "names no tool"),
        ('{"name": "ocr", "arguments": [1]}', '"arguments" must be an object, not an array'),
        ('{"name": "ocr", "arguments": false}', "not a boolean"),
        ('{"name": "ocr", "arguments": "[1]"}', 'The string in "arguments" must be a JSON object'),
        ('{"name": "ocr", "arguments": "{"}', 'The string in "arguments" is not valid JSON'),
        ('{"tool": "ocr", "arguments": {}, "parameters": {}}', 'both "arguments" and "parameters"'),
        ('{"name": "zoom", "bbox_2d": [1, 2, 3, 4]}', '"bbox_2d" must stand inside "arguments"'),
        ('{"tool": "zoom", "parameters": {}, "bbox_2d": [1, 2, 3, 4]}', '"bbox_2d" must stand inside "parameters"'),
        ('{"name": "zoom", "arguments": {"x": NaN}}', "NaN"),
        ('{"name": "zoom", "arguments": {"x": -Infinity}}', "-Infinity"),
        ('{"name": "zoom", "arguments": {"x": 1e999}}', "too large"),
        ('{"name": "zoom", "arguments": {"x": ' + "9" * 5000 + "}}", "5000 digits"),
        ('{"name": "zoom", "arguments": {"x": "\\ud800"}}', "surrogate"),
        ('{"name": "zoom", "arguments": {"\\udfff": 1}}', "surrogate"),
        ('{"name": "zoom", "arguments": {"x": ["\ud800"]}}', "surrogate"),
    ],
)
def test_broken_calls_say_what_is_wrong(text: str, says: str) -> None:
    call, error = parse_call(text)
    assert call is None
    assert error is not None
    assert error.kind == "E1"
    assert says in error.message
    assert '{"name": "TOOL", "arguments": {...}}' in error.message


@pytest.mark.parametrize("depth", [MAX_DEPTH, 500, 10_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"":', "}")])
def test_deep_nesting_is_refused(depth: int, opening: str, closing: str) -> None:
    inside = opening * depth + "1" + closing * depth
    call, error = parse_call('{"name": "a", "arguments": {"x": ' + inside + "}}")
    assert call is None
    assert error is not None
    assert f"more than {MAX_DEPTH} levels" in error.message


def test_nesting_up_to_the_limit_is_read() -> None:
    inside = MAX_DEPTH - 3  # the call, its arguments and the innermost value are levels too
    call, error = parse_call('{"name": "a", "arguments": {"x": ' + "[" * inside + "]" * inside + "}}")
    assert error is None
    assert call is not None


def test_a_long_call_is_refused_unread() -> None:
    call, error = parse_call(json.dumps({"name": "a", "arguments": {"x": "y" * 1_000_000}}))
    assert call is None
    assert error is not None
    assert f"at most {MAX_CHARACTERS}" in error.message


def test_an_error_never_repeats_a_long_call() -> None:
    _, error = parse_call(json.dumps({"name": "a"} | {f"{i}" * 1000: i for i in range(10)}))
    assert error is not None
    assert len(error.message) < 400


@given(
    st.text()
    | st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(json.dumps)
)
def test_exactly_one_result_for_any_text(text: str) -> None:
    call, error = parse_call(text)
    assert (call is None) != (error is None)
