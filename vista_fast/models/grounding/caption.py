"""What a caption is to the network: token ids, and which of them make up one phrase."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.grounding.libraries import transformers_class

_ENDS = (101, 102, 1012, 1029)
"""Ids of [CLS], [SEP], "." and "?" in BERT's vocabulary: they part the phrases of a caption."""
_GRAIN = 16
"""Captions are padded to a multiple of this many tokens, so that those of like length share a batch."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption of T tokens.

    Attributes:
        ids: int64 [T], from [CLS] to [SEP].
        phrases: int64 [T], equal for tokens of one phrase, which see each other only; other tokens are alone.
        positions: int64 [T], of each token in its phrase.
    """

    ids: npt.NDArray[np.int64]
    phrases: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ids: npt.NDArray[np.int64]) -> Caption:
        """The phrases of a caption's ids. The first and the last token, and what no end follows, stay alone."""
        count = len(ids)
        index = np.arange(count)
        ends = np.isin(ids, _ENDS)
        following = np.minimum.accumulate(np.where(ends, index, count)[::-1])[::-1]
        together = (following != 0) & (following < count - 1)
        before = np.concatenate([[-1], np.maximum.accumulate(np.where(ends, index, -1))[:-1]])
        return cls(ids, np.where(together, following, count + index), np.where(together, index - before - 1, 0))

    def padded(self, length: int) -> dict[str, npt.NDArray[np.int64]]:
        """The network's inputs of one caption, padded with tokens that nothing looks at."""
        missing = (0, length - len(self.ids))
        alone = -1 - np.arange(missing[1])
        return {
            "input_ids": np.pad(self.ids, missing),
            "attention_mask": np.pad(np.ones_like(self.ids), missing),
            "phrases": np.concatenate([self.phrases, alone]),
            "positions": np.pad(self.positions, missing),
        }


class CaptionReader:
    """The tokenizer of a Grounding DINO. Safe to call from several threads."""

    def __init__(self, folder: Path, longest: int) -> None:
        """Reads the tokenizer. ``longest``: tokens that the network takes at most.

        Raises:
            InvalidArgumentError: there is none that can be read.
            MissingExtraError: torch or transformers is not installed.
        """
        tokenizer = transformers_class("AutoTokenizer")
        try:
            self._tokenizer: Any = tokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # each kind of tokenizer has its own
            raise InvalidArgumentError(
                f"the tokenizer in {folder} can't be read ({error}); get the model again"
            ) from error
        self._longest = longest
        self.read = lru_cache(maxsize=4096)(self._read)
        self.phrase = lru_cache(maxsize=4096)(self._phrase)

    def _read(self, caption: str) -> Caption:
        """Raises InvalidArgumentError for a caption that is empty, or longer than the network takes."""
        ids = np.array(self._tokenizer(_as_trained(caption))["input_ids"], np.int64)
        if len(ids) > self._longest:
            raise InvalidArgumentError(
                f"caption has {len(ids)} tokens and the model takes {self._longest}; name fewer things in one call"
            )
        return Caption.of(ids)

    def _phrase(self, ids: tuple[int, ...]) -> str:
        """The text of some of a caption's tokens."""
        return str(self._tokenizer.decode(list(ids)))

    def padded_length(self, caption: str) -> int:
        """The number of tokens that a caption is padded to."""
        return min(-(-len(self.read(caption).ids) // _GRAIN) * _GRAIN, self._longest)


def _as_trained(caption: str) -> str:
    """Lower case, with an end after the last phrase."""
    text = caption.lower().strip()
    if not text.strip(". "):
        raise InvalidArgumentError(f"caption must name what to find, such as 'red car. dog.', got {caption!r}")
    return text if text.endswith(".") else f"{text}."
