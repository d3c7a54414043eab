"""The suite's promises: the same tasks every time, splits without a common picture, balance, and true truths."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from itertools import combinations

import pytest

from vista_fast.errors import InvalidArgumentError
from vista_fast.tasks import load
from vista_fast.tasks.mini import FAMILIES, SPLITS, MiniDataset, charts, documents, scenes

MODULES = {"charts": charts, "documents": documents, "scenes": scenes}


def pictures(dataset: MiniDataset) -> set[str]:
    return {hashlib.sha256(task.images[0]).hexdigest() for task in dataset}


def test_the_registry_loads_it() -> None:
    dataset = load("mini", split="test", size=7, seed=3)
    assert dataset.name == "mini"
    assert [task.id for task in dataset] == [f"mini/test/3/{index}" for index in range(7)]


def test_a_task_does_not_depend_on_what_was_asked_for_before() -> None:
    forwards = list(MiniDataset("train", size=12, seed=1))
    backwards = MiniDataset("train", size=300, seed=1)
    assert [backwards[index] for index in reversed(range(12))][::-1] == forwards


def test_another_seed_gives_other_tasks() -> None:
    assert not pictures(MiniDataset("train", size=30, seed=1)) & pictures(MiniDataset("train", size=30, seed=2))


def test_splits_share_no_picture_and_no_numbers_whatever_their_seeds() -> None:
    seen: dict[str, set[object]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        for seed in (0, 1):
            dataset = MiniDataset(split, size=48, seed=seed)
            for index, task in enumerate(dataset):
                seen[split] |= {task.images[0], (task.family, dataset._picture(index).composition.numbers)}
    for one, other in combinations(SPLITS, 2):
        assert not seen[one] & seen[other]


@pytest.mark.parametrize("questions", [1, 3])
def test_families_kinds_and_regions_are_balanced(questions: int) -> None:
    size = 3 * 24 * 12 * questions
    dataset = MiniDataset("train", size=size, questions_per_image=questions)
    plans = [(dataset._family(number), ask) for number in range(size // questions) for ask in dataset._plan(number)]
    for family, module in MODULES.items():
        cells = Counter((ask.kind, ask.region) for name, ask in plans if name == family)
        assert set(cells) == {(kind, region) for kind in module.KINDS for region in range(4)}
        assert len(set(cells.values())) == 1


def test_questions_of_one_picture_ask_for_other_regions() -> None:
    tasks = list(MiniDataset("sft", size=36, questions_per_image=3))
    for first in range(0, len(tasks), 3):
        group = tasks[first : first + 3]
        assert len({task.images for task in group}) == 1
        assert len({task.metadata["region"] for task in group}) == 3
        assert len({task.metadata["kind"] for task in group}) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_truth_is_the_number_of_the_region_that_the_question_describes(family: str) -> None:
    dataset = MiniDataset("test", size=60, seed=4, families=[family])
    for index, task in enumerate(dataset):
        composition = dataset._picture(index).composition
        names = list(task.metadata["regions"])
        described = [
            region for region in range(4) if describes(task.metadata["kind"], task.question, composition, region)
        ]
        assert described == [names.index(task.metadata["region"])]
        assert task.truth == str(composition.numbers[described[0]])
        assert len(set(composition.numbers)) == 4
        assert task.metadata["rationale"].endswith(task.metadata["region"])
        assert task.verifier(f" {task.truth} ", task.truth)
        assert not task.verifier(str(int(task.truth) + 1), task.truth)
        assert 10 <= int(task.truth) < 1000


def describes(kind: str, question: str, composition: object, region: int) -> bool:
    """Whether the question's words are true of a region, from the facts that the picture is painted from."""
    if isinstance(composition, charts.Chart):
        numbers = composition.numbers
        return {
            "tallest": "tallest" in question and numbers[region] == max(numbers),
            "shortest": "shortest" in question and numbers[region] == min(numbers),
            "colour": f" {composition.colours[region]} bar" in question,
            "position": ("first", "second", "third", "fourth")[region] in question,
        }[kind]
    if isinstance(composition, documents.Page):
        return {
            "total": "total row" in question and composition.labels[region][0] == "Total",
            "highlight": "highlighted row" in question and composition.highlight == region,
            "colour": f" {composition.colours[region]} row" in question,
        }[kind]
    assert isinstance(composition, scenes.Scene)
    thing = composition.things[region]
    return {
        "object": f" {thing.colour} {thing.shape}" in question,
        "colour": f" {thing.colour} object" in question,
        "shape": f" {thing.shape}" in question,
    }[kind]


def test_a_total_is_the_sum_of_the_other_rows() -> None:
    dataset = MiniDataset("train", size=12, families=["documents"], kinds=["total"])
    for index, task in enumerate(dataset):
        assert 2 * int(task.truth) == sum(dataset._picture(index).composition.numbers)


def test_an_object_has_rivals_of_its_colour_and_of_its_shape() -> None:
    dataset = MiniDataset("train", size=12, families=["scenes"], kinds=["object"])
    for index, task in enumerate(dataset):
        things = dataset._picture(index).composition.things
        asked = things[list(task.metadata["regions"]).index(task.metadata["region"])]
        others = [thing for thing in things if thing is not asked]
        assert sum(thing.colour == asked.colour for thing in others) == 1
        assert sum(thing.shape == asked.shape for thing in others) == 1


def test_families_and_kinds_can_be_chosen() -> None:
    tasks = list(MiniDataset("train", size=12, kinds=["colour", "tallest"]))
    assert Counter(task.family for task in tasks) == {"charts": 4, "documents": 4, "scenes": 4}
    assert {task.metadata["kind"] for task in tasks} == {"colour", "tallest"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "split 'dev' is unknown"),
        ({"size": 0}, "size 0 holds no task"),
        ({"families": ["maps"]}, "family 'maps' is unknown"),
        ({"kinds": ["largest"]}, "'largest'"),
        ({"questions_per_image": 4}, "not in 1 to 3"),
        ({"questions_per_image": 2, "kinds": ["tallest"]}, "not in 1 to 1"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        MiniDataset(**options)  # type: ignore[arg-type]


def test_an_index_outside_the_dataset_is_an_index_error() -> None:
    dataset = MiniDataset("train", size=3)
    assert dataset[-1] == dataset[2]
    for index in (3, -4):
        with pytest.raises(IndexError):
            dataset[index]


def test_drawing_libraries_are_imported_with_the_first_picture() -> None:
    code = (
        "import sys\n"
        "from vista_fast.tasks.mini import MiniDataset\n"
        "MiniDataset('train', size=5)\n"
        "print(sorted({'matplotlib', 'PIL', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
