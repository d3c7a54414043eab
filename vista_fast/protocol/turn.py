"""From the text of one generation to its thought and its action."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vista_fast.protocol import violations as v
from vista_fast.protocol.call import parse_call
from vista_fast.protocol.tags import TAG
from vista_fast.types import ToolCall, ToolError


@dataclass(frozen=True, slots=True)
class ParsedTurn:
    """What one turn says.

    ``think`` and ``answer`` are stripped of surrounding white space, and None without such a block. At most one of
    ``tool_call``, ``answer`` and ``call_error`` is set: the turn's first action counts. ``call_error`` (kind E1) says
    why a call that was attempted can't be made: not closed, not JSON, of no known shape, or one of several.
    ``violations`` holds constants of ``vista_fast.protocol.violations``, each at most once; a turn without any is
    well-formed. A broken call inside correct tags is an error, not a violation.
    """

    think: str | None
    tool_call: ToolCall | None
    answer: str | None
    violations: tuple[str, ...]
    call_error: ToolError | None

    @property
    def calls(self) -> bool:
        """Whether the turn's action is a call, be it one that can be made or a broken one."""
        return self.tool_call is not None or self.call_error is not None


def parse_turn(text: str) -> ParsedTurn:
    """Parses one turn of the policy.

    Never raises on any string, and takes time linear in its length. A block ends at its first closing tag; one that is
    never closed ends at the next opening tag or at the end of the text.
    """
    blocks, found = _blocks(text)
    thoughts = [block for block in blocks if block.tag == "think"]
    actions = [block for block in blocks if block.tag != "think"]
    found |= _order_violations(blocks, thoughts, actions)

    call: ToolCall | None = None
    error: ToolError | None = None
    answer: str | None = None
    if actions and actions[0].tag == "answer":
        answer = actions[0].body(text).strip() if actions[0].closed else None
    elif actions:
        call, error = _single_call(text, actions)
    return ParsedTurn(
        think=thoughts[0].body(text).strip() if thoughts else None,
        tool_call=call,
        answer=answer,
        violations=tuple(name for name in v.ALL if name in found),
        call_error=error,
    )


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the turn; ``start`` and ``end`` enclose what stands between its tags."""

    tag: str
    start: int
    end: int
    closed: bool

    def body(self, text: str) -> str:
        return text[self.start : self.end]


def _blocks(text: str) -> tuple[list[_Block], set[str]]:
    """The turn's blocks in order, and what was seen of stray, nested and unclosed tags and of text outside."""
    tags = list(TAG.finditer(text))
    closing = _next_closing(tags)
    blocks: list[_Block] = []
    found: set[str] = set()
    outside = 0  # where the text outside of blocks continues
    i = 0
    while i < len(tags):
        tag = tags[i]
        found |= _stray_text(text, outside, tag.start(), blocks)
        if tag[1]:
            found.add(v.STRAY_CLOSE)
            outside, i = tag.end(), i + 1
            continue
        close = closing[i]
        if close is None:
            found.add(v.UNCLOSED_TAG)
            i = next((k for k in range(i + 1, len(tags)) if not tags[k][1]), len(tags))
            outside = tags[i].start() if i < len(tags) else len(text)
            blocks.append(_Block(tag[2], tag.end(), outside, closed=False))
        else:
            if close > i + 1:
                found.add(v.NESTED_TAG)
            blocks.append(_Block(tag[2], tag.end(), tags[close].start(), closed=True))
            outside, i = tags[close].end(), close + 1
    found |= _stray_text(text, outside, len(text), blocks)
    return blocks, found


def _next_closing(tags: list[re.Match[str]]) -> list[int | None]:
    """For each tag, the index of the next tag that closes its kind."""
    nearest: dict[str, int] = {}
    result: list[int | None] = [None] * len(tags)
    for i in range(len(tags) - 1, -1, -1):
        result[i] = nearest.get(tags[i][2])
        if tags[i][1]:
            nearest[tags[i][2]] = i
    return result


def _stray_text(text: str, start: int, end: int, blocks: list[_Block]) -> set[str]:
    halted = bool(blocks) and blocks[-1].tag == "tool_call" and blocks[-1].closed
    return {v.STRAY_TEXT} if not halted and text[start:end].strip() else set()


def _order_violations(blocks: list[_Block], thoughts: list[_Block], actions: list[_Block]) -> set[str]:
    found: set[str] = set()
    if not thoughts:
        found.add(v.MISSING_THINK)
    if len(thoughts) > 1:
        found.add(v.DUPLICATE_THINK)
    if not actions:
        found.add(v.MISSING_ACTION)
    elif any(block.start > actions[0].start for block in thoughts):
        found.add(v.WRONG_ORDER)
    if len(actions) > 1:
        found.add(v.DUPLICATE_ACTION)
    return found


def _single_call(text: str, actions: list[_Block]) -> tuple[ToolCall | None, ToolError | None]:
    """The call of the turn's first action, or why there is none."""
    calls = sum(block.tag == "tool_call" for block in actions)
    if calls > 1:
        return None, ToolError(
            "E1", f"This turn makes {calls} tool calls. Make one call per turn and wait for its result."
        )
    if not actions[0].closed:
        return None, ToolError("E1", "The tool call is not closed. End it with </tool_call>.")
    return parse_call(actions[0].body(text))
