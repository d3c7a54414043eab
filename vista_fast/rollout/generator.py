"""What continues token ids: the Generator interface, and the records that cross it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from vista_fast.errors import InvalidArgumentError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vista_fast.devices import DeviceTensor
    from vista_fast.types import SeenImage

JOIN_EVERY = 4
"""Waiting requests join at every fourth decode step, so that they are prefilled together; at once when none decodes."""

Finish: TypeAlias = Literal["stop", "end", "length"]
"""stop: the text ran into a stop string; end: an end-of-turn id was sampled; length: max_tokens was reached."""


@dataclass(frozen=True, slots=True)
class Patches:
    """An Image as the policy's vision encoder takes it.

    ``values`` is float32 [t*h*w, channels*temporal*patch*patch], on a device where the Image lies on one, ``grid`` is
    (t, h, w) in patches, ``hash`` is the Image's: equal hashes are encoded once per weight version.
    """

    hash: str
    values: npt.NDArray[np.float32] | DeviceTensor
    grid: tuple[int, int, int]
    image: SeenImage | None = None

    def visual_tokens(self, merge_size: int) -> int:
        """How many placeholder ids stand for this Image in the context."""
        t, h, w = self.grid
        return t * h * w // merge_size**2


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one generation draws its ids.

    Args:
        max_tokens: at most this many ids are drawn.
        temperature: 0 takes the most likely id; its log-probabilities are then those at temperature 1.
        top_p: draw from the smallest set of ids whose probability reaches this; 1 keeps all.
        top_k: draw from the k most likely ids; 0 keeps all. Log-probabilities are those before top_p and top_k.
        seed: the noise at each position is a function of this seed and the position alone.
        stop: strings that end the generation as soon as the text holds one of them.
        end_ids: ids that end the turn (kept as the last sampled id).
        forbidden_ids: ids that are never drawn and take no part in the log-probabilities (image placeholders).
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ("</tool_call>", "</answer>")
    end_ids: tuple[int, ...] = ()
    forbidden_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InvalidArgumentError(f"Sampling.max_tokens is {self.max_tokens}; give at least 1")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InvalidArgumentError(f"Sampling.temperature is {self.temperature}; give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise InvalidArgumentError(f"Sampling.top_p is {self.top_p}; give a number in (0, 1]")
        if self.top_k < 0:
            raise InvalidArgumentError(f"Sampling.top_k is {self.top_k}; give 0 (all ids) or a positive number")
        if "" in self.stop:
            raise InvalidArgumentError("Sampling.stop holds an empty string, which ends every generation; remove it")


@dataclass(frozen=True, slots=True)
class Generation:
    """What a Generator returns. Times are seconds on ``time.monotonic``'s clock.

    ``token_ids`` are the ids as sampled, an end-of-turn id included. ``logprobs`` holds the log-probability of each at
    the sampling temperature with the forbidden ids masked. ``text`` is their text without the end-of-turn id, cut
    right after the stop string where the last id's text runs past it.
    """

    token_ids: list[int]
    logprobs: list[float]
    text: str
    finish: Finish
    weight_version: int
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class DecodeSpan:
    """A stretch of work of a Generator: ``rows`` sequences advanced together by ``tokens`` ids in all."""

    kind: Literal["prefill", "decode"]
    started: float
    ended: float
    rows: int
    tokens: int


@runtime_checkable
class Generator(Protocol):
    """Continues token ids; sessions keep what was computed for their context between turns."""

    async def generate(
        self, session: str, ids: Sequence[int], images: Sequence[Patches], sampling: Sampling
    ) -> Generation:
        """Continue ``ids``, the whole context so far, whose image placeholders stand for ``images`` in order."""
        ...

    def release(self, session: str) -> None:
        """Forget what is kept for the session. Unknown sessions are ignored."""
        ...

    def drain_spans(self) -> list[DecodeSpan]:
        """The spans of work since the last call, in order."""
        ...
