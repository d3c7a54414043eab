"""Verifiers: what counts as right, and what doesn't."""

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vista_fast.tasks.verifiers import MultipleChoice, exact, relaxed_accuracy, same_number, same_text


def test_exact() -> None:
    assert exact(" Blue\n", "Blue")
    assert not exact("blue", "Blue")


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("blue line", True),
        ("  Blue   Line. ", True),
        ('"BLUE LINE"', True),
        ("Ｂlue line", True),
        ("blue", False),
        ("the blue line", False),
        ("blue line, not red", False),
        ("", False),
        ("blue-line", False),
    ],
)
def test_same_text(answer: str, right: bool) -> None:
    assert same_text(answer, "Blue line") is right


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("1250", "1,250.0", True),
        ("$1,250", "1250", True),
        (" 12 %", "12%", True),
        ("−3.50", "-3.5", True),
        ("-$5", "-5", True),
        (".5", "0.5", True),
        ("5.", "5", True),
        ("1.2e3", "1200", True),
        ("٣", "3", False),
        ("12", "12%", False),
        ("12.5", "12", False),
        ("12 apples", "12", False),
        ("1,25", "125", False),
        ("1 250", "1250", False),
        ("nan", "nan", False),
        ("inf", "inf", False),
        ("e5", "e5", False),
        ("", "0", False),
        (".", "0", False),
        ("1e999", "1e999", False),
    ],
)
def test_same_number(answer: str, truth: str, right: bool) -> None:
    assert same_number(answer, truth) is right


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        # 5 % of the truth, at its edges
        ("105", "100", True),
        ("95", "100", True),
        ("105.01", "100", False),
        ("94.99", "100", False),
        ("0.105", "0.1", True),
        ("-105", "-100", True),
        ("100", "-100", False),
        ("3", "3.15", True),
        ("1,050", "1000", True),
        ("0", "0", True),
        ("0.001", "0", False),
        # years are exact
        ("2018", "2018", True),
        ("2017", "2018", False),
        ("1911.0", "1911", True),
        ("2018%", "2018", False),
        ("1700", "1715", True),
        ("2018", "2018.5", True),
        # percentages, written both ways in the data
        ("72%", "0.72", True),
        ("72%", "72", True),
        ("0.72", "72%", True),
        ("72", "72%", True),
        ("72 %", "72%", True),
        ("0.72%", "72%", False),
        ("72", "0.72", False),
        # texts
        ("yes", "Yes", True),
        ("Not too much/not at all", "not too much/Not at all", True),
        ("No", "Yes", False),
        ("Yes, it is", "Yes", False),
        ("Light blue", "blue", False),
        ("44538 people", "44538", False),
        # lists
        ("[4, 9]", "[4, 9]", True),
        ("4, 9", "[4, 9]", True),
        ("[4,9]", "[4, 9]", True),
        ("[4.1, 9.2]", "[4, 9]", True),
        ("[9, 4]", "[4, 9]", True),
        ("[4, 12]", "[4, 9]", False),
        ("[4]", "[4, 9]", False),
        ("4", "[4, 9]", False),
        ("[4, 9, 9]", "[4, 9]", False),
        ("[2013, 2014]", "[2012, 2014]", False),
        ("central europe, Madagascar", "[Madagascar, Central Europe]", True),
        ("[Madagascar, Madagascar]", "[Madagascar, Central Europe]", False),
        ("[1,200, 3]", "[1200, 3]", True),
    ],
)
def test_relaxed_accuracy(answer: str, truth: str, right: bool) -> None:
    assert relaxed_accuracy(answer, truth) is right


CHOICES = MultipleChoice(("one apple", "two apples", "A", "none of them"))


@pytest.mark.parametrize(
    "answer", ["B", "b", "(b)", "B.", "B)", "B: two apples", "(B) Two apples", "two  apples", "Two apples."]
)
@pytest.mark.parametrize("truth", ["B", "two apples"])
def test_the_right_choice(answer: str, truth: str) -> None:
    assert CHOICES(answer, truth)


@pytest.mark.parametrize(
    "answer", ["", "C", "E", "apples", "B or C", "BB", "B) one apple", "not B", "2", "two apples or none"]
)
def test_wrong_choices(answer: str) -> None:
    assert not CHOICES(answer, "B")


def test_a_choices_text_wins_over_a_letter() -> None:
    assert CHOICES("A", "C")
    assert not CHOICES("A", "one apple")


ALIKE = MultipleChoice(("FF", "Ff", "ff"))


@pytest.mark.parametrize(
    ("truth", "right"),
    [("FF", {"FF", "A", "A) FF"}), ("Ff", {"Ff", "B", "B) Ff"}), ("C", {"ff", "C", "C) ff"})],
)
def test_choices_that_differ_only_in_case_are_told_apart(truth: str, right: set[str]) -> None:
    answers = ("FF", "Ff", "ff", "fF", "A", "B", "C", "A) FF", "B) Ff", "C) ff", "B) ff", "C) FF")
    assert {answer for answer in answers if ALIKE(answer, truth)} == right


def test_choices_that_differ_only_in_edge_punctuation_are_told_apart() -> None:
    choices = MultipleChoice(("yes", "yes!", "?", "!"))
    for index, text in enumerate(choices.choices):
        answers = (*choices.choices, *"ABCD")
        assert {answer for answer in answers if choices(answer, text)} == {text, "ABCD"[index]}
    assert not choices("", "?")


def test_no_single_character_makes_a_verifier_raise() -> None:
    """Both planes that hold letters and digits, surrogates among them, and a sample of the others."""
    for character in map(chr, (*range(0x20000), *range(0x20000, 0x110000, 101))):
        for verifier in (exact, same_text, same_number, relaxed_accuracy, CHOICES):
            assert verifier(character, "12") in (True, False)


@pytest.mark.parametrize("answer", ["İ", "ı", "(ı)", "İ) x"])
def test_a_letter_of_another_alphabet_is_no_label(answer: str) -> None:
    assert not any(MultipleChoice(tuple("0123456789"))(answer, truth) for truth in "ABCDEFGHIJ")


def test_a_long_run_of_spaces_takes_linear_time() -> None:
    began = time.monotonic()
    assert not same_number("-" + " " * 100_000 + "x", "12")
    assert time.monotonic() - began < 1


@given(st.text(), st.text())
def test_no_answer_makes_a_verifier_raise(answer: str, truth: str) -> None:
    for verifier in (exact, same_text, same_number, relaxed_accuracy, CHOICES):
        assert verifier(answer, truth) in (True, False)


@given(st.text(alphabet="0123456789.,%$-+eE []ab\ud800", max_size=30))
def test_no_number_like_answer_makes_a_verifier_raise(answer: str) -> None:
    for verifier in (same_number, relaxed_accuracy):
        assert verifier(answer, "[12%, 2018, 1e9]") in (True, False)
        assert verifier("12", answer) in (True, False)


def test_verifiers_travel_to_other_processes() -> None:
    for verifier in (exact, same_text, same_number, relaxed_accuracy, CHOICES):
        assert pickle.loads(pickle.dumps(verifier)) == verifier
