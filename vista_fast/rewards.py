"""The reward of a trajectory: repetition, format and correctness of the policy's own text.

R = R_rep + R_format + R_correct (VISTA-R1, arXiv 2511.19773), one of -3, -2, -1.5, -1, 1, 2:

- R_rep in {-3, -2, -1.5, 0}: extreme, severe, moderate or no contiguous repetition. It dominates: when it is not 0, the
  other two terms are 0.
- R_format: +1 when every turn is well-formed, those before the last with a tool call and the last with an answer; else
  -1. So an episode that was cut has -1.
- R_correct: 1 when the verifier accepts the answer of a well-formed trajectory, else 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.protocol import ParsedTurn, parse_turn
from vista_fast.protocol.tags import TAGS
from vista_fast.types import Reward, Verifier

Scheme: TypeAlias = Literal["paper", "dense", "sparse"]
"""How the parts add up to the total: the paper's reward, or one of its two per-trajectory ablations."""

Thresholds: TypeAlias = tuple[int, int, int]
"""How often in a row counts as moderate, severe and extreme."""


@dataclass(frozen=True, slots=True)
class RepetitionRule:
    """What counts as contiguous repetition, and what it costs.

    ``characters``: the same character in a row, except for those in ``ignored_characters`` (rulers, table frames).
    ``phrases``: the same phrase of 2 to ``longest_phrase`` words (split at white space and tags) in a row; ``words``:
    the same single word. ``penalties`` belong to moderate, severe and extreme. The paper gives the penalties; the
    thresholds are ours.
    """

    characters: Thresholds = (50, 100, 200)
    phrases: Thresholds = (5, 10, 20)
    words: Thresholds = (8, 15, 30)
    longest_phrase: int = 32
    ignored_characters: str = " -=_.|#*"
    penalties: tuple[float, float, float] = (-1.5, -2.0, -3.0)

    def __post_init__(self) -> None:
        for name in ("characters", "phrases", "words"):
            moderate, severe, extreme = getattr(self, name)
            if not 2 <= moderate <= severe <= extreme:
                raise InvalidArgumentError(
                    f"RepetitionRule.{name} is {getattr(self, name)}; it must rise from at least 2"
                )
        if self.longest_phrase < 1:
            raise InvalidArgumentError(f"RepetitionRule.longest_phrase is {self.longest_phrase}; it must be at least 1")


DEFAULT_RULE: Final = RepetitionRule()


def reward(
    turn_texts: Sequence[str],
    truth: str,
    verifier: Verifier,
    *,
    scheme: Scheme = "paper",
    rule: RepetitionRule = DEFAULT_RULE,
    cut: bool = False,
) -> Reward:
    """Scores the texts of one trajectory's turns, in order.

    ``cut``: the turn or length limit ended the trajectory, so it has no answer turn, whatever its last text holds.

    ``verifier(answer, truth)`` is asked only for a well-formed trajectory without repetition. The schemes "dense"
    (-1 + 0.5·Rf + 0.5·Rc + Rf·Rc) and "sparse" (Rf·Rc) combine the same parts into another total; repetition, which
    leaves Rf = Rc = 0, still costs its penalty under "dense" and gives 0 under "sparse".
    """
    if scheme not in ("paper", "dense", "sparse"):
        raise InvalidArgumentError(f"reward scheme {scheme!r} is unknown; use 'paper', 'dense' or 'sparse'")
    penalty = min((repetition(text, rule) for text in turn_texts), default=0.0)
    if penalty < 0:
        return Reward(0.0 if scheme == "sparse" else penalty, penalty, 0.0, 0.0)
    turns = [parse_turn(text) for text in turn_texts]
    well_formed = not cut and is_well_formed(turns)
    answer = turns[-1].answer if well_formed else None
    correctness = 1.0 if answer is not None and verifier(answer, truth) else 0.0
    format_ = 1.0 if well_formed else -1.0
    totals = {
        "paper": format_ + correctness,
        "dense": -1.0 + 0.5 * format_ + 0.5 * correctness + format_ * correctness,
        "sparse": format_ * correctness,
    }
    # A product of -1 and 0 is -0.0; adding 0.0 makes it 0.0.
    return Reward(totals[scheme] + 0.0, 0.0, format_, correctness)


def difficulty_adaptive(rewards: Sequence[Reward]) -> list[Reward]:
    """The paper's third ablation, over the rewards of one group: R·w with w = clamp(2 - D, 0, 1)·0.5 + 0.5.

    D is the mean total of the group; only the totals change.
    """
    if not rewards:
        return []
    difficulty = sum(r.total for r in rewards) / len(rewards)
    weight = min(max(2.0 - difficulty, 0.0), 1.0) * 0.5 + 0.5
    return [replace(r, total=r.total * weight) for r in rewards]


def is_well_formed(turns: Sequence[ParsedTurn]) -> bool:
    """Whether every turn keeps the protocol: those before the last call a tool, and the last one answers."""
    if not turns or any(turn.violations for turn in turns):
        return False
    return all(turn.calls for turn in turns[:-1]) and turns[-1].answer is not None


def repetition(text: str, rule: RepetitionRule = DEFAULT_RULE) -> float:
    """The penalty for the worst contiguous repetition in one text: 0 or one of ``rule.penalties``.

    Takes time linear in the text's length (times ``rule.longest_phrase``).
    """
    level = _level(_character_repeats(text, rule), rule.characters)
    words = _word_ids(text)
    for length in range(1, rule.longest_phrase + 1):
        thresholds = rule.words if length == 1 else rule.phrases
        if level < len(thresholds):
            level = max(level, _level(_phrase_repeats(words, length, thresholds[level]), thresholds))
    return rule.penalties[level - 1] if level else 0.0


def _level(count: int, thresholds: Thresholds) -> int:
    """0 for none, 1 moderate, 2 severe, 3 extreme."""
    return sum(count >= threshold for threshold in thresholds)


def _character_repeats(text: str, rule: RepetitionRule) -> int:
    """How often the most repeated character stands in a row; 0 when that is less than the rule counts."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    starts = np.flatnonzero(np.diff(codes, prepend=codes[:1] + np.uint32(1)))
    lengths = np.diff(starts, append=codes.size)
    long = np.flatnonzero(lengths >= rule.characters[0])
    ignored = [ord(character) for character in rule.ignored_characters]
    return int(lengths[long[~np.isin(codes[starts[long]], ignored)]].max(initial=0))


def _word_ids(text: str) -> npt.NDArray[np.int32]:
    """The text's words as numbers, equal for equal words. A tag is a word of its own, so that it hides no neighbour."""
    for tag in TAGS:
        text = text.replace(tag, f" {tag} ")
    words = text.split()
    number = dict(zip(words, range(len(words)), strict=True))
    return np.fromiter(map(number.__getitem__, words), dtype=np.int32, count=len(words))


def _phrase_repeats(words: npt.NDArray[np.int32], length: int, least: int) -> int:
    """How often the most repeated phrase of ``length`` words stands in a row; 0 when that is less than ``least``.

    A phrase that stands r times in a row shows as (r - 1)·length words in a row that equal the word ``length`` ahead.
    """
    if words.size < least * length:
        return 0
    equal = words[length:] == words[:-length]
    if not _may_hold_run(equal, (least - 1) * length):
        return 0
    breaks = np.flatnonzero(~equal)
    runs = np.diff(breaks, prepend=-1, append=equal.size) - 1
    return int(runs.max()) // length + 1


def _may_hold_run(equal: npt.NDArray[np.bool_], least: int) -> bool:
    """A quick look whether ``least`` True may stand in a row: 15 or more cover a whole aligned group of 8."""
    groups = equal[: equal.size & ~7].view(np.uint64)
    return least < 15 or bool((groups == 0x0101010101010101).any())
