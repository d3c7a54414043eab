"""The chat template as ids: prompts, observations, and the boundary ids around what the policy samples.

Token in, token out: what the policy sampled is never decoded and encoded again. A context grows by the template's own
boundary ids and the observation's ids, which are found by rendering the tokenizer's chat template around marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from vista_fast.errors import InvalidArgumentError, MissingExtraError

_SYSTEM, _QUESTION, _ANSWER, _OBSERVATION = "MARKSYSTEM", "MARKQUESTION", "MARKANSWER", "MARKOBSERVATION"
_NEVER_SAMPLED = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")


class ChatTemplate:
    """Ids of prompts and observations under a tokenizer's own chat template.

    Text from outside (system prompt, question, observation) is encoded with special tokens as plain text, so a
    picture that says ``<|im_end|>`` cannot end a turn. Pieces are encoded one by one: a context is the same ids
    whether it is laid out for SFT or grown turn by turn in a rollout.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        merge_size: how many patches a visual token spans, along each side.
        image_token: the placeholder that stands for one visual token.

    Raises:
        InvalidArgumentError: the tokenizer has no chat template, lacks the placeholder, or its template drops what
            it is given.
    """

    def __init__(self, tokenizer: Any, *, merge_size: int = 2, image_token: str = "<|image_pad|>") -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise InvalidArgumentError("the tokenizer has no chat template; set tokenizer.chat_template")
        vocabulary = tokenizer.get_vocab()
        if image_token not in vocabulary:
            raise InvalidArgumentError(f"the tokenizer has no token {image_token!r}; pass the model's image_token=")
        self._tokenizer = tokenizer
        self._merge_size = merge_size
        self.image_id: int = vocabulary[image_token]
        never = {vocabulary[token] for token in (image_token, *_NEVER_SAMPLED) if token in vocabulary}
        self.forbidden_ids: tuple[int, ...] = tuple(sorted(never))
        """Ids that must not be sampled: placeholders and the marks around them."""
        self._prompt_pieces = lru_cache(maxsize=None)(self._render_prompt)
        self._observation_pieces = lru_cache(maxsize=None)(self._render_observation)
        self.end_id: int = self._observation_pieces(0)[0][0]
        """The id that ends the assistant's turn."""

    def prompt(self, system: str | None, question: str, grids: Sequence[tuple[int, int, int]] = ()) -> list[int]:
        """Ids from the start of the context to where the policy begins; one image span per grid, before the question.

        ``system`` None leaves the system turn to the template, which may put in its own default.
        """
        pieces = self._prompt_pieces(system is not None, len(grids))
        contents = [question] if system is None else [system, question]
        return self._join(pieces, contents, grids)

    def observation(
        self, text: str, grids: Sequence[tuple[int, int, int]] = (), *, sampled: Sequence[int] = ()
    ) -> list[int]:
        """Ids that follow a turn of the policy: the end of its turn, the observation, the start of its next turn.

        The end-of-turn id is left out when ``sampled``, the turn's ids, already ends with it; the newline that
        templates put after it is kept.
        """
        before, after = self._observation_pieces(len(grids))
        if len(sampled) and sampled[-1] == self.end_id:
            before = before[1:]
        return self._join([before, after], [text], grids)

    def turn_end(self, sampled: Sequence[int] = ()) -> list[int]:
        """The boundary ids that close the last turn of a conversation (for SFT targets)."""
        return [] if len(sampled) and sampled[-1] == self.end_id else [self.end_id]

    def encode(self, text: str) -> list[int]:
        """Ids of text of the policy's own (a teacher's turn, a forced prefix): special tokens are recognised."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _join(
        self, pieces: Sequence[Sequence[int]], contents: Sequence[str], grids: Sequence[tuple[int, int, int]]
    ) -> list[int]:
        counts = [t * h * w // self._merge_size**2 for t, h, w in grids]
        ids: list[int] = []
        for piece, content in zip(pieces, (*contents, None), strict=True):
            for token in piece:
                ids.extend([token] * counts.pop(0) if token == self.image_id else [token])
            if content is not None:
                ids += self._tokenizer.encode(content, add_special_tokens=False, split_special_tokens=True)
        return ids

    def _render_prompt(self, has_system: bool, images: int) -> tuple[list[int], ...]:
        messages: list[dict[str, Any]] = [{"role": "system", "content": _SYSTEM}] if has_system else []
        messages.append({"role": "user", "content": _content(_QUESTION, images)})
        marks = [_SYSTEM, _QUESTION] if has_system else [_QUESTION]
        return self._pieces(self._render(messages), marks, images)

    def _render_observation(self, images: int) -> tuple[list[int], ...]:
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": _content(_QUESTION, 0)},
            {"role": "assistant", "content": _ANSWER},
            {"role": "user", "content": _content(_OBSERVATION, images)},
        ]
        rendered = self._render(messages)
        if _ANSWER not in rendered:
            raise InvalidArgumentError("the chat template drops assistant turns; set one that renders them")
        return self._pieces(rendered.split(_ANSWER, 1)[1], [_OBSERVATION], images)

    def _render(self, messages: list[dict[str, Any]]) -> str:
        try:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except ImportError as error:
            raise MissingExtraError("chat templates need jinja2; pip install 'vista-fast[train]'") from error

    def _pieces(self, rendered: str, marks: Sequence[str], images: int) -> tuple[list[int], ...]:
        """Ids of the template's own text between the marks."""
        pieces: list[list[int]] = []
        for mark in marks:
            if rendered.count(mark) != 1:
                raise InvalidArgumentError(
                    f"the chat template renders a text {rendered.count(mark)} times, not once; set another"
                )
            piece, rendered = rendered.split(mark)
            pieces.append(self.encode(piece))
        pieces.append(self.encode(rendered))
        found = sum(piece.count(self.image_id) for piece in pieces)
        if found != images:
            raise InvalidArgumentError(f"the chat template has {found} placeholders for {images} images; set another")
        return tuple(pieces)


def _content(text: str, images: int) -> str | list[dict[str, str]]:
    return [*([{"type": "image"}] * images), {"type": "text", "text": text}] if images else text
