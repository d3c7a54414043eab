"""Verifiers: whether an answer counts as right. None raises on any answer, and none accepts an answer by substring."""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

YEARS: Final = range(1800, 2101)
"""A whole number of four digits in this range reads as a year, and a year is right or wrong, never nearly right."""

RELATIVE_TOLERANCE: Final = Decimal("0.05")
"""ChartQA's tolerance for numbers (arXiv 2203.10244, section 5.1)."""

_NUMBER: Final = re.compile(
    r"([+-]?)\s*(?:[$€£]\s*)?"  # sign, currency; two runs of \s* side by side would take quadratic time
    r"((?=\.?[0-9])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{0,40})(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,2})?)"
    r"\s*(%?)\.?"
)
_CHOICE_LABEL: Final = re.compile(r"\(?([a-z])(?:[).:]\s*|$)", re.IGNORECASE | re.ASCII)
_EDGES: Final = string.whitespace + ".,;:!?\"'`“”‘’"


def exact(answer: str, truth: str) -> bool:
    """The same characters, surrounding white space aside."""
    return answer.strip() == truth.strip()


def same_text(answer: str, truth: str) -> bool:
    """The same words: letter case, Unicode width, runs of white space and punctuation at either end don't count."""
    return _normalised(answer) == _normalised(truth)


def same_number(answer: str, truth: str) -> bool:
    """The same number, however written: 1,250 and 1250.0 are equal, and so are 12 % and 12% (but not 0.12)."""
    given, wanted = _number(answer), _number(truth)
    return given is not None and given == wanted


def relaxed_accuracy(answer: str, truth: str) -> bool:
    """ChartQA's measure: numbers within 5 % of the truth, anything else as the same text.

    Years must be exact. "72%" matches a truth of 0.72 as well as one of 72, since the truths are written both ways. A
    truth in brackets is a list: as many items, each right in its place, or the same texts in any order.
    """
    truth = truth.strip()
    if truth.startswith("[") and truth.endswith("]"):
        return _same_list(answer, truth)
    return _relaxed_item(answer, truth)


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """Accepts the right choice by its text or by its letter: "B", "(b)", "B." and "B) two apples".

    ``choices`` in the order of their letters; the truth may be a letter or a choice's text. An answer that is a
    choice's text is that choice, even where it reads like a letter; a letter with another choice's text is wrong.
    Letter case and edge punctuation count only between choices that differ in nothing else.
    """

    choices: tuple[str, ...]

    def __call__(self, answer: str, truth: str) -> bool:
        wanted = self._index(truth)
        return wanted is not None and self._index(answer) == wanted

    def _index(self, text: str) -> int | None:
        text = text.strip()
        exact_texts = [choice.strip() for choice in self.choices]
        if text in exact_texts:
            return exact_texts.index(text)
        texts = [_normalised(choice) for choice in self.choices]
        if texts.count(_normalised(text)) == 1:
            return texts.index(_normalised(text))
        label = _CHOICE_LABEL.match(text)
        index = ord(label[1].lower()) - ord("a") if label else len(texts)
        if label is None or index >= len(texts):
            return None
        behind = text[label.end() :].strip()
        if behind in exact_texts:
            return index if behind == exact_texts[index] else None
        return index if _normalised(behind) in ("", texts[index]) else None


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_EDGES)


def _number(text: str) -> tuple[Decimal, bool] | None:
    """The number that a text consists of, and whether it is a percentage; None when it isn't one."""
    match = _NUMBER.fullmatch(unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").strip())
    if match is None:
        return None
    sign, digits, percent = match.groups()
    return Decimal(sign + digits.replace(",", "")), percent == "%"


def _relaxed_item(answer: str, truth: str) -> bool:
    given, wanted = _number(answer), _number(truth)
    if given is None or wanted is None:
        return same_text(answer, truth)
    if _is_year(truth):
        return given == wanted
    if given[1] == wanted[1]:
        return _near(given[0], wanted[0])
    return any(_near(g, w) for g in _readings(*given) for w in _readings(*wanted))


def _readings(value: Decimal, percentage: bool) -> tuple[Decimal, ...]:
    return (value, value / 100) if percentage else (value,)


def _near(given: Decimal, wanted: Decimal) -> bool:
    return abs(given - wanted) <= RELATIVE_TOLERANCE * abs(wanted)


def _is_year(text: str) -> bool:
    return len(text) == 4 and text.isascii() and text.isdigit() and int(text) in YEARS


def _same_list(answer: str, truth: str) -> bool:
    wanted = _items(truth)
    given = _items(answer)
    if len(given) != len(wanted):
        return False
    if all(_relaxed_item(g, w) for g, w in zip(given, wanted, strict=True)):
        return True
    return sorted(map(_normalised, given)) == sorted(map(_normalised, wanted))


def _items(text: str) -> list[str]:
    """The items of a list, with or without its brackets; a comma without a space separates only where none has one."""
    inside = text.strip().removeprefix("[").removesuffix("]").strip()
    items = re.split(r",\s+", inside)
    return [item.strip() for item in (items if len(items) > 1 else inside.split(","))]
