"""Text that the policy reads (the system prompt, observations) and text that a teacher writes for it (turns)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from vista_fast.errors import InvalidArgumentError
from vista_fast.protocol.tags import TAGS
from vista_fast.types import Observation, Task, ToolCall

PromptStyle: TypeAlias = Literal["full", "compact"]

_WITH_TOOLS: Final = """\
You answer questions about images, and you may use tools to look closer. Work in turns. Start every turn by reasoning \
between <think> and </think>. Then do exactly one of two things:
- call one tool: <tool_call>{"name": "TOOL", "arguments": {"ARGUMENT": "VALUE"}}</tool_call> (valid JSON), and stop; \
its result comes back to you, and you reason about it in the next turn;
- or, once you know enough, finish with <answer>YOUR ANSWER</answer>.
Close every tag, never put one inside another, and write nothing outside of them. Images are numbered from 1 in the \
order in which you see them; images that tools return count on.

Tools, one JSON schema per line:
"""

_WITHOUT_TOOLS: Final = """\
You answer questions about images. Reason first, between <think> and </think>, then give the final answer as \
<answer>YOUR ANSWER</answer>. Close every tag, never put one inside another, and write nothing outside of them."""


def system_prompt(schemas: Sequence[Mapping[str, Any]], style: PromptStyle = "full") -> str:
    """The instructions that open an episode.

    ``schemas`` are the tools in OpenAI's function format (``Toolbox.schemas()``); with none, the prompt asks for an
    answer straight away. "full" explains the protocol and lists the schemas; "compact" gives the tools' names only, for
    a small policy that learns the protocol by training.
    """
    if style == "compact":
        return f"Tools: {', '.join(_function(schema)['name'] for schema in schemas) or 'none'}."
    if style != "full":
        raise InvalidArgumentError(f"system prompt style {style!r} is unknown; use 'full' or 'compact'")
    if not schemas:
        return _WITHOUT_TOOLS
    return _WITH_TOOLS + "\n".join(json.dumps(_function(schema), ensure_ascii=False) for schema in schemas)


def _function(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands inside OpenAI's wrapper {"type": "function", "function": ...}, or the schema itself."""
    function: Mapping[str, Any] = schema.get("function", schema)
    return function


def render_question(task: Task) -> str:
    """The question, with its choices in lines of their own, lettered from A."""
    lines = [f"{chr(ord('A') + number)}. {choice}" for number, choice in enumerate(task.choices or ())]
    return "\n".join([task.question, *lines])


def render_observation(observation: Observation) -> str:
    """The text body of an observation; the chat template places its images and the tags around it."""
    if observation.error is not None:
        return f"Error {observation.error.kind}: {observation.error.message}"
    if not observation.text and not observation.images:
        return "The tool found nothing."
    return observation.text


def render_call(call: ToolCall) -> str:
    """The canonical JSON of a call, ``{"name": ..., "arguments": {...}}``.

    "<" in strings is written as an escape, so that no argument can close the call's tag. Raises InvalidArgumentError
    for arguments that JSON can't hold (NaN, infinities, foreign objects).
    """
    try:
        text = json.dumps({"name": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"the call of {call.name!r} can't be written as JSON: {error}") from error
    return text.replace("<", "\\u003c")


def render_tool_turn(think: str, call: ToolCall) -> str:
    """A well-formed turn that calls a tool; raises InvalidArgumentError when ``think`` holds a protocol tag."""
    return f"<think>{_tagless(think, 'think')}</think><tool_call>{render_call(call)}</tool_call>"


def render_answer_turn(think: str, answer: str) -> str:
    """A well-formed turn that answers; raises InvalidArgumentError when either text holds a protocol tag."""
    return f"<think>{_tagless(think, 'think')}</think><answer>{_tagless(answer, 'answer')}</answer>"


def _tagless(text: str, what: str) -> str:
    for tag in TAGS:
        if tag in text:
            raise InvalidArgumentError(f"the {what} text holds the protocol tag {tag}; remove it: {text[:80]!r}")
    return text
