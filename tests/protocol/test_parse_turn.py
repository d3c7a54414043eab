"""parse_turn: the tags of a turn, whatever the policy wrote."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vista_fast.protocol import ParsedTurn, parse_turn, render_answer_turn, render_tool_turn
from vista_fast.protocol import violations as v
from vista_fast.types import ToolCall

CALL = '<tool_call>{"name": "ocr"}</tool_call>'
TAGS = [f"<{slash}{tag}>" for slash in ("", "/") for tag in ("think", "tool_call", "answer")]


def test_a_turn_that_calls() -> None:
    turn = parse_turn(
        '<think> look closer </think>\n<tool_call>{"name": "zoom", "arguments": {"bbox_2d": [1, 2, 3, 4]}}</tool_call>'
    )
    assert turn == ParsedTurn("look closer", ToolCall("zoom", {"bbox_2d": [1, 2, 3, 4]}), None, (), None)
    assert turn.calls


def test_a_turn_that_answers() -> None:
    turn = parse_turn("<think>seen</think><answer>\n42 %\n</answer>\n")
    assert turn == ParsedTurn("seen", None, "42 %", (), None)
    assert not turn.calls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {v.MISSING_THINK, v.MISSING_ACTION}),
        ("42", {v.MISSING_THINK, v.MISSING_ACTION, v.STRAY_TEXT}),
        ("<think>a</think>", {v.MISSING_ACTION}),
        ("<answer>5</answer>", {v.MISSING_THINK}),
        ("<think>a<answer>5</answer>", {v.UNCLOSED_TAG}),
        ("<think>a</think><answer>5", {v.UNCLOSED_TAG}),
        ("a</think><answer>5</answer>", {v.MISSING_THINK, v.STRAY_CLOSE, v.STRAY_TEXT}),
        ("<think>a<answer>4</answer></think><answer>5</answer>", {v.NESTED_TAG}),
        ("<think>a<think>b</think></think><answer>5</answer>", {v.NESTED_TAG, v.STRAY_CLOSE}),
        ("<think>a</think><answer><think>b</think>5</answer>", {v.NESTED_TAG}),
        ("<think>a</think><think>b</think><answer>5</answer>", {v.DUPLICATE_THINK}),
        ("<think>a</think><answer>5</answer><answer>6</answer>", {v.DUPLICATE_ACTION}),
        (f"<think>a</think><answer>5</answer>{CALL}", {v.DUPLICATE_ACTION}),
        ("<answer>5</answer><think>a</think>", {v.WRONG_ORDER}),
        ("<think>a</think>so: <answer>5</answer>", {v.STRAY_TEXT}),
        ("<think>a</think><answer>5</answer>.", {v.STRAY_TEXT}),
        (f"well <think>a</think>{CALL}", {v.STRAY_TEXT}),
        ("<Think>a</Think><answer>5</answer>", {v.MISSING_THINK, v.STRAY_TEXT}),
        ("<think></think><answer></answer>", set()),
    ],
)
def test_violations(text: str, expected: set[str]) -> None:
    assert set(parse_turn(text).violations) == expected


def test_text_behind_the_call_is_the_rest_of_a_token() -> None:
    turn = parse_turn(f"<think>a</think>{CALL}>\n")
    assert turn.violations == ()
    assert turn.tool_call == ToolCall("ocr")


def test_the_first_action_counts() -> None:
    assert parse_turn("<think>a</think><answer>5</answer><answer>6</answer>").answer == "5"
    called = parse_turn(f"<think>a</think>{CALL}<answer>6</answer>")
    assert called.tool_call == ToolCall("ocr")
    assert called.answer is None
    answered = parse_turn(f"<think>a</think><answer>6</answer>{CALL}")
    assert answered.tool_call is None
    assert answered.answer == "6"


def test_two_calls_in_one_turn_are_an_error_that_says_so() -> None:
    turn = parse_turn(f"<think>a</think>{CALL}{CALL}")
    assert turn.tool_call is None
    assert turn.call_error is not None
    assert turn.call_error.kind == "E1"
    assert "2 tool calls" in turn.call_error.message
    assert v.DUPLICATE_ACTION in turn.violations


def test_an_unclosed_call_is_an_error_that_says_so() -> None:
    turn = parse_turn('<think>a</think><tool_call>{"name": "ocr"}')
    assert turn.tool_call is None
    assert turn.call_error is not None
    assert "</tool_call>" in turn.call_error.message


def test_an_unclosed_answer_is_no_answer() -> None:
    turn = parse_turn("<think>a</think><answer>5")
    assert turn.answer is None
    assert not turn.calls


def test_a_call_behind_an_unclosed_thought_is_still_made() -> None:
    turn = parse_turn(f"<think>let me read it {CALL}")
    assert turn.think == "let me read it"
    assert turn.tool_call == ToolCall("ocr")
    assert turn.violations == (v.UNCLOSED_TAG,)


def test_a_broken_call_in_right_tags_is_no_violation() -> None:
    turn = parse_turn("<think>a</think><tool_call>zoom in, please</tool_call>")
    assert turn.violations == ()
    assert turn.call_error is not None
    assert turn.calls


def test_violations_are_listed_once_and_in_their_order() -> None:
    turn = parse_turn("x<think><think>" + "</answer>" * 5 + "y" + CALL * 3)
    assert len(set(turn.violations)) == len(turn.violations)
    assert list(turn.violations) == sorted(turn.violations, key=v.ALL.index)


_pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [*TAGS, CALL, "<tool_call>", '{"tool": 1}', '{"name": "a", "arguments": ', "<", "\ud800", "\x00"]
        ),
        st.text(max_size=8),
        st.text(alphabet=st.characters(), max_size=8),
    ),
    max_size=12,
).map("".join)


@given(_pieces)
def test_any_text_gives_a_consistent_turn(text: str) -> None:
    turn = parse_turn(text)
    assert sum(part is not None for part in (turn.tool_call, turn.answer, turn.call_error)) <= 1
    assert set(turn.violations) <= set(v.ALL)
    if turn.call_error is not None:
        assert turn.call_error.kind == "E1"
        assert len(turn.call_error.message) < 400
    if not turn.violations:
        assert turn.think is not None
        assert turn.calls or turn.answer is not None


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
_plain = st.text().filter(lambda text: not any(tag in text for tag in TAGS))


@given(
    think=_plain,
    name=st.text(min_size=1).filter(lambda s: s.strip() == s),
    arguments=st.dictionaries(st.text(), _json, max_size=3),
)
def test_what_a_teacher_renders_is_what_is_parsed(think: str, name: str, arguments: dict[str, object]) -> None:
    turn = parse_turn(render_tool_turn(think, ToolCall(name, arguments)))
    assert turn == ParsedTurn(think.strip(), ToolCall(name, arguments), None, (), None)


@given(think=_plain, answer=_plain)
def test_a_rendered_answer_is_parsed(think: str, answer: str) -> None:
    assert parse_turn(render_answer_turn(think, answer)) == ParsedTurn(think.strip(), None, answer.strip(), (), None)


def _lines_executed(text: str) -> int:
    count = 0

    def trace(frame: object, event: str, arg: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        parse_turn(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "unit",
    [
        *TAGS,
        "<think></answer>",
        "<think></think>",
        "<tool_call></tool_call>",
        "<answer><think>",
        CALL,
        '<tool_call>{"a":[',
        "x",
    ],
)
def test_the_work_grows_no_faster_than_the_text(unit: str) -> None:
    small, large = _lines_executed(unit * 500), _lines_executed(unit * 2000)
    assert large <= 4 * small + 100


@pytest.mark.parametrize("unit", ["<think>", "<tool_call>", "</answer>", "<", CALL])
def test_a_hundred_thousand_tags(unit: str) -> None:
    turn = parse_turn(unit * 100_000)
    assert turn.tool_call is None
    assert turn.violations
