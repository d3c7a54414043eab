"""What the repetition reward costs: the detector beside a backtracking regular expression, the usual way to write it.

Both look for a phrase of 1 to 32 words that stands at least 5 times in a row, in texts without any, the common case.
Times are CPU time of the one thread that both use; each repeat has a text of its own.
"""

from __future__ import annotations

import random
import re
import statistics
import time
from collections.abc import Callable

from _measuring import Options, Peer, Row, options
from _profile import profiled
from _table import finish

from vista_fast.rewards import RepetitionRule, repetition

PHRASE = re.compile(r"(?<!\S)(\S+(?:\s+\S+){0,31}?)(?:\s+\1){4,}(?!\S)")
RULE = RepetitionRule(words=(5, 10, 20))


def text_of(characters: int, seed: int) -> str:
    """Words drawn from a vocabulary of 2,000, as in a long thought."""
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, 9))) for _ in range(2000)]
    words: list[str] = []
    length = 0
    while length < characters:
        words.append(rng.choice(vocabulary))
        length += len(words[-1]) + 1
    return " ".join(words)[:characters]


def milliseconds(detect: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    found = detect(text)
    elapsed = time.thread_time() - start
    if found:
        raise AssertionError(f"{detect} finds repetition where there is none")
    return elapsed * 1e3


def row(characters: int, given: Options) -> Row:
    texts = [text_of(characters, seed) for seed in range(given.repeats)]
    works: list[Callable[[str], object]] = [ours, PHRASE.search, split]
    mine, regex, words = zip(*([milliseconds(work, text) for work in works] for text in texts), strict=True)
    return Row(
        f"repetition in {characters:,} characters",
        "ms",
        "lower",
        list(mine),
        [Peer("regular expression", list(regex))],
        bound_by="numbering the words and comparing arrays of numbers at each distance, in numpy",
        physical=statistics.median(words),
        physical_is="splitting the text into words, which is where any detector begins",
    )


def ours(text: str) -> object:
    return repetition(text, RULE)


def split(text: str) -> None:
    text.split()


def main() -> None:
    given = options(__doc__)
    milliseconds(ours, text_of(1_000, given.repeats))  # numpy's first call
    lengths = (1_000,) if given.quick else (1_000, 10_000, 100_000)
    long = text_of(lengths[-1], 0)
    rows = [row(characters, given) for characters in lengths]
    finish(rows, given, __file__, profiled(given, f"{lengths[-1]:,} characters", lambda: ours(long)))


if __name__ == "__main__":
    main()
