"""The reward and its ablations: the values of arXiv 2511.19773, thresholds at their edges, cost."""

import random
import statistics
import time

import pytest

from vista_fast.errors import InvalidArgumentError
from vista_fast.rewards import RepetitionRule, difficulty_adaptive, repetition, reward
from vista_fast.types import Reward

CALL = '<think>look</think><tool_call>{"name": "ocr"}</tool_call>'
BROKEN_CALL = "<think>look</think><tool_call>ocr please</tool_call>"
RIGHT = "<think>seen</think><answer>42</answer>"
WRONG = "<think>seen</think><answer>41</answer>"
UNCLOSED = "<think>seen</think><answer>42"
LOOP = "<think>" + "wait " * 30 + "</think><answer>42</answer>"


def same(answer: str, truth: str) -> bool:
    return answer == truth


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([RIGHT], Reward(2, 0, 1, 1)),
        ([CALL, RIGHT], Reward(2, 0, 1, 1)),
        ([CALL, CALL, RIGHT], Reward(2, 0, 1, 1)),
        ([BROKEN_CALL, RIGHT], Reward(2, 0, 1, 1)),
        ([WRONG], Reward(1, 0, 1, 0)),
        ([UNCLOSED], Reward(-1, 0, -1, 0)),
        ([CALL], Reward(-1, 0, -1, 0)),  # cut by the turn limit
        ([CALL, UNCLOSED], Reward(-1, 0, -1, 0)),  # cut by the length limit
        ([], Reward(-1, 0, -1, 0)),
        ([RIGHT, RIGHT], Reward(-1, 0, -1, 0)),
        ([UNCLOSED, RIGHT], Reward(-1, 0, -1, 0)),
        (["<answer>42</answer>"], Reward(-1, 0, -1, 0)),
        ([LOOP], Reward(-3, -3, 0, 0)),
        ([LOOP, RIGHT], Reward(-3, -3, 0, 0)),
        ([CALL, LOOP], Reward(-3, -3, 0, 0)),
        (["x" * 50], Reward(-1.5, -1.5, 0, 0)),
        (["x" * 50, "y" * 100], Reward(-2, -2, 0, 0)),
    ],
)
def test_the_reward_of_the_paper(turns: list[str], expected: Reward) -> None:
    assert reward(turns, "42", same) == expected


def test_a_cut_trajectory_has_no_answer_turn() -> None:
    assert reward([CALL, RIGHT], "42", same, cut=True) == Reward(-1, 0, -1, 0)
    assert reward([LOOP], "42", same, cut=True) == Reward(-3, -3, 0, 0)


def test_the_verifier_is_asked_for_well_formed_answers_only() -> None:
    asked: list[tuple[str, str]] = []

    def verifier(answer: str, truth: str) -> bool:
        asked.append((answer, truth))
        return True

    for turns in ([LOOP], [UNCLOSED], ["<answer>42</answer>"], [CALL]):
        reward(turns, "t", verifier)
    assert asked == []
    reward([CALL, RIGHT], "t", verifier)
    assert asked == [("42", "t")]


@pytest.mark.parametrize(
    ("turns", "dense", "sparse"),
    [([RIGHT], 1.0, 1.0), ([WRONG], -0.5, 0.0), ([UNCLOSED], -1.5, 0.0), ([LOOP], -3.0, 0.0), (["x" * 50], -1.5, 0.0)],
)
def test_dense_and_sparse(turns: list[str], dense: float, sparse: float) -> None:
    parts = reward(turns, "42", same)
    for scheme, total in (("dense", dense), ("sparse", sparse)):
        scored = reward(turns, "42", same, scheme=scheme)  # type: ignore[arg-type]
        assert scored == Reward(total, parts.repetition, parts.format, parts.correctness)
        assert str(scored.total) != "-0.0"


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="'denser'"):
        reward([RIGHT], "42", same, scheme="denser")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("totals", "weight"),
    [([-1, -1], 1.0), ([1, 1], 1.0), ([2, 1], 0.75), ([2, 2], 0.5), ([2, 2, 1, 2], 0.625), ([-3], 1.0)],
)
def test_difficulty_adaptive(totals: list[float], weight: float) -> None:
    group = [Reward(total, 0, 1, 0) for total in totals]
    assert difficulty_adaptive(group) == [Reward(total * weight, 0, 1, 0) for total in totals]


def test_difficulty_adaptive_of_no_rewards() -> None:
    assert difficulty_adaptive([]) == []


@pytest.mark.parametrize(
    ("count", "penalty"), [(49, 0.0), (50, -1.5), (99, -1.5), (100, -2.0), (199, -2.0), (200, -3.0), (5000, -3.0)]
)
@pytest.mark.parametrize("character", ["x", "数", "\ud800", "!", "😀", "0"])
def test_characters_in_a_row(character: str, count: int, penalty: float) -> None:
    assert repetition(f"see {character * count} there") == penalty
    assert repetition(character * count) == penalty


@pytest.mark.parametrize("character", " -=_.|#*")
def test_rulers_and_frames_are_no_repetition(character: str) -> None:
    assert repetition("a" + character * 5000 + "b") == 0.0


@pytest.mark.parametrize(("count", "penalty"), [(7, 0.0), (8, -1.5), (14, -1.5), (15, -2.0), (29, -2.0), (30, -3.0)])
def test_a_word_in_a_row(count: int, penalty: float) -> None:
    assert repetition("so " + "wait " * count + "then") == penalty
    assert repetition("\n".join(["wait"] * count)) == penalty


@pytest.mark.parametrize(("count", "penalty"), [(4, 0.0), (5, -1.5), (9, -1.5), (10, -2.0), (19, -2.0), (20, -3.0)])
@pytest.mark.parametrize("length", [2, 3, 7, 31, 32])
def test_a_phrase_in_a_row(length: int, count: int, penalty: float) -> None:
    phrase = " ".join(f"w{i}" for i in range(length)) + " "
    assert repetition("first " + phrase * count + "last") == penalty
    assert repetition(phrase * count) == penalty


@pytest.mark.parametrize(("count", "penalty"), [(7, 0.0), (8, -1.5)])
def test_a_tag_hides_no_word(count: int, penalty: float) -> None:
    words = " ".join(["wait"] * count)
    assert repetition(f"<think>{words}</think><answer>wait</answer>") == penalty
    assert repetition("<think>" * count) == penalty


def test_a_phrase_of_33_words_is_not_looked_for() -> None:
    phrase = " ".join(f"w{i}" for i in range(33)) + " "
    assert repetition(phrase * 50) == 0.0
    assert repetition(phrase * 50, RepetitionRule(longest_phrase=33)) == -3.0


def test_repetition_with_something_between_does_not_count() -> None:
    assert repetition("wait no wait yes " * 4 + "stop " + "wait no wait yes " * 4) == 0.0


def test_the_worst_repetition_counts_wherever_it_is() -> None:
    text = "y " * 8 + "then " + "x" * 50 + " then " + "a b " * 10
    assert repetition(text) == -2.0


def test_thresholds_are_configurable() -> None:
    rule = RepetitionRule(characters=(3, 4, 5), penalties=(-1, -4, -9))
    assert repetition("aaa", rule) == -1
    assert repetition("aaaaa", rule) == -9
    assert reward(["aaaa"], "t", same, rule=rule) == Reward(-4, -4, 0, 0)


@pytest.mark.parametrize("wrong", [{"characters": (1, 2, 3)}, {"words": (8, 7, 30)}, {"longest_phrase": 0}])
def test_thresholds_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        RepetitionRule(**wrong)  # type: ignore[arg-type]


def test_against_a_plain_definition_on_random_texts() -> None:
    def plainly(text: str) -> float:
        words = text.split()
        worst = 0
        for length in range(1, 33):
            thresholds = (8, 15, 30) if length == 1 else (5, 10, 20)
            for start in range(len(words)):
                count = 1
                while words[start : start + length] == words[start + count * length : start + (count + 1) * length]:
                    count += 1
                if start + length <= len(words):
                    worst = max(worst, sum(count >= threshold for threshold in thresholds))
        return (0.0, -1.5, -2.0, -3.0)[worst]

    rng = random.Random(7)
    seen = set()
    for _ in range(150):
        parts = [" ".join(rng.choices("abc", k=rng.randint(1, 4))) for _ in range(4)]
        text = " ".join(f"{part} " * rng.choice((1, 1, 2, 5, 9, 10, 21)) for part in parts)
        assert repetition(text) == plainly(text), text
        seen.add(repetition(text))
    assert seen == {0.0, -1.5, -2.0, -3.0}


def _texts_of_100k_characters() -> dict[str, str]:
    rng = random.Random(0)
    return {
        "one-letter words": " ".join(rng.choices("abcdefghij", k=50_000)),
        "all words differ": " ".join(f"{i:05}" for i in range(16_667)),
        "numbers": " ".join(str(rng.random()) for _ in range(5_300)),
        "no spaces": "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(100_000)),
        "one letter": "a " * 50_000,
        "tags": "<think>a</think>" * 6_250,
        "nearly a phrase": ("a b c d e f g h i j k l m n o p " * 4 + "stop ") * 760,
    }


@pytest.mark.parametrize("kind", _texts_of_100k_characters())
def test_100k_characters_take_under_20_ms(kind: str) -> None:
    text = _texts_of_100k_characters()[kind][:100_000]
    times = []
    for _ in range(9):
        start = time.thread_time()
        repetition(text)
        times.append(time.thread_time() - start)
    assert statistics.median(times) < 0.020
