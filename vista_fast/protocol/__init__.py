"""The protocol between policy and episode: text to turns, and observations back to text.

A turn is ``<think>…</think>`` followed by either ``<tool_call>{JSON}</tool_call>`` or, to end the episode,
``<answer>…</answer>`` (VISTA-R1, arXiv 2511.19773). ``turn`` finds the tags, ``call`` reads the JSON, ``render`` writes
both directions' text.
"""

from vista_fast.protocol.call import parse_call
from vista_fast.protocol.render import (
    render_answer_turn,
    render_call,
    render_observation,
    render_question,
    render_tool_turn,
    system_prompt,
)
from vista_fast.protocol.turn import ParsedTurn, parse_turn

__all__ = [
    "ParsedTurn",
    "parse_call",
    "parse_turn",
    "render_answer_turn",
    "render_call",
    "render_observation",
    "render_question",
    "render_tool_turn",
    "system_prompt",
]
