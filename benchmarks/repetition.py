"""What the repetition reward costs: the detector beside a backtracking regular expression, the usual way to write it.

Both look for a phrase of 1 to 32 words that stands at least 5 times in a row, in texts without any, the common case.
Times are CPU time of the one thread that both use. Run it as ``python benchmarks/repetition.py``.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import time
from collections.abc import Callable

from vista_fast.rewards import RepetitionRule, repetition

PHRASE = re.compile(r"(?<!\S)(\S+(?:\s+\S+){0,31}?)(?:\s+\1){4,}(?!\S)")
RULE = RepetitionRule(words=(5, 10, 20))
RUNS = 7


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


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    milliseconds(lambda t: repetition(t, RULE), text_of(1_000, RUNS))  # NumPy's first call
    print(
        f"{'characters':>10}  {'vista_fast ms':>13}  {'regex ms':>10}  regex / vista_fast (lowest to highest of {RUNS})"
    )
    for characters in (1_000, 10_000, 100_000):
        texts = [text_of(characters, seed) for seed in range(RUNS)]
        ours, regex = zip(
            *((milliseconds(lambda t: repetition(t, RULE), t), milliseconds(PHRASE.search, t)) for t in texts),
            strict=True,
        )
        ratios = sorted(theirs / mine for mine, theirs in zip(ours, regex, strict=True))
        print(
            f"{characters:>10}  {statistics.median(ours):>13.2f}  {statistics.median(regex):>10.1f}"
            f"  {statistics.median(ratios):.0f}x ({ratios[0]:.0f} to {ratios[-1]:.0f})"
        )


if __name__ == "__main__":
    main()
