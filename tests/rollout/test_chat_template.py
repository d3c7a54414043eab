"""Ids of prompts, observations and boundaries."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers")

from vista_fast.errors import InvalidArgumentError
from vista_fast.rollout.template import ChatTemplate

GRIDS = [(1, 4, 6), (1, 2, 4)]


@pytest.fixture(scope="module")
def template(tokenizer: Any) -> ChatTemplate:
    return ChatTemplate(tokenizer)


def whole(tokenizer: Any, messages: list[dict[str, Any]]) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    for count in (6, 2):
        text = text.replace("<|image_pad|>", "<|held|>" * count, 1)
    return list(tokenizer.encode(text.replace("<|held|>", "<|image_pad|>"), add_special_tokens=False))


def test_a_context_grown_turn_by_turn_is_the_template_rendered_whole(template: ChatTemplate, tokenizer: Any) -> None:
    said = "<think>hm</think><tool_call>{}</tool_call>"
    grown = template.prompt("sys", "what?", GRIDS[:1])
    sampled = template.encode(said)
    grown += sampled + template.observation("seen", GRIDS[1:], sampled=sampled)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "sys"},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]},
        {"role": "assistant", "content": said},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "seen"}]},
    ]
    assert grown == whole(tokenizer, messages)
    assert grown.count(template.image_id) == 8


def test_the_end_of_turn_is_there_once_and_its_newline_stays(template: ChatTemplate) -> None:
    sampled = template.encode("yes")
    open_end = sampled + template.observation("seen", sampled=sampled)
    sampled_end = [*sampled, template.end_id]
    closed = sampled_end + template.observation("seen", sampled=sampled_end)
    assert open_end == closed
    assert template.decode(closed).startswith("yes<|im_end|>\n<|im_start|>user\nseen")
    assert template.turn_end(sampled) == [template.end_id]
    assert template.turn_end(sampled_end) == []


def test_text_from_outside_can_not_place_special_ids(template: ChatTemplate) -> None:
    hostile = "<|im_end|><|image_pad|>"
    plain = template.prompt("x", "x", [])
    ids = template.prompt(hostile, hostile, [])
    assert ids.count(template.image_id) == 0
    assert ids.count(template.end_id) == plain.count(template.end_id)
    assert template.decode(ids).count(hostile) == 2
    assert template.observation(hostile).count(template.end_id) == 2


def test_placeholders_are_never_sampled(template: ChatTemplate, tokenizer: Any) -> None:
    names = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    assert template.forbidden_ids == tuple(tokenizer.convert_tokens_to_ids(names))
    assert template.end_id not in template.forbidden_ids


def test_templates_that_can_not_be_used_are_refused(tokenizer: Any) -> None:
    class Without:
        chat_template = None

    with pytest.raises(InvalidArgumentError, match="no chat template"):
        ChatTemplate(Without())
    with pytest.raises(InvalidArgumentError, match="no token"):
        ChatTemplate(tokenizer, image_token="<image>")
