"""Any text as a turn of the policy: parsed without an exception, to what its invariants promise; see ``make fuzz``."""

from __future__ import annotations

import json
import sys

import atheris

with atheris.instrument_imports(include=["vista_fast.protocol", "vista_fast.rewards"]):
    from vista_fast.protocol import parse_call, parse_turn, render_tool_turn
    from vista_fast.rewards import RepetitionRule, repetition

RULE = RepetitionRule()


def check(data: bytes) -> None:
    """Text is any sequence of code points, lone surrogates among them."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    turn = parse_turn(text)
    assert sum(each is not None for each in (turn.tool_call, turn.answer, turn.call_error)) <= 1
    assert len(set(turn.violations)) == len(turn.violations)
    call, error = parse_call(text)
    assert (call is None) != (error is None)
    if call is not None:
        again, _ = parse_call(json.dumps({"name": call.name, "arguments": call.arguments}))
        assert again == call, f"{call} comes back as {again}"
        assert parse_turn(render_tool_turn("So", call)).tool_call == call
    repetition(text, RULE)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
