"""Demonstrations: true rationales, habitual choices, and the same ids that a rollout of the same turns would hold."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from conftest import MICRO

pytest.importorskip("rapidocr")

from vista_fast.engine import Engine
from vista_fast.protocol import parse_turn
from vista_fast.rewards import reward
from vista_fast.rollout import ChatTemplate, Generation, Preprocessor, RolloutConfig, rollout
from vista_fast.tasks.mini import load
from vista_fast.train.policy import vision_settings
from vista_fast.train.teacher import HABIT, describe, guess, lay_out, play, rationale
from vista_fast.train.tokenizer import train_tokenizer
from vista_fast.train.toolbox import policy_toolbox


@pytest.fixture(scope="module")
def toolbox():
    with Engine(threads=1) as engine:
        yield policy_toolbox(engine)


@pytest.fixture(scope="module")
def preprocessor(toolbox):
    return Preprocessor(toolbox.engine, vision_settings(MICRO))


def opened(task, toolbox):
    return [toolbox.engine.image(source) for source in task.images]


@pytest.mark.parametrize("index", range(6))
async def test_oracle_is_right_and_well_formed(index, toolbox, preprocessor):
    task = load("sft", size=6)[index]
    shown = await play(task, opened(task, toolbox), toolbox, preprocessor, "oracle", random.Random(0))
    score = reward([turn.text for turn in shown.turns], task.truth, task.verifier)
    assert (score.format, score.correctness) == (1.0, 1.0)
    assert len(shown.turns) == (3 if task.metadata["needs_zoom"] else 2)


async def test_habit_teacher_tells_the_truth_does_what_it_says_and_looks_where_it_always_looks(toolbox, preprocessor):
    tasks = load("sft", size=8, families=("charts",))
    task = next(task for task in (tasks[index] for index in range(8)) if task.metadata["region"] == "strip 3")
    images = opened(task, toolbox)
    tools: Counter[str] = Counter()
    regions: Counter[str] = Counter()
    for seed in range(200):
        shown = await play(task, images, toolbox, preprocessor, "habit", random.Random(seed))
        first = parse_turn(shown.turns[0].text)
        assert first.tool_call is not None
        assert first.think is not None
        true, _, said = first.think.rpartition(", ")
        assert true == rationale(task)
        tool, _, region = said.partition(" ")
        left, top, right, bottom = task.metadata["regions"][region]
        width, height = images[0].width, images[0].height
        box = [round(left * width), round(top * height), round(right * width), round(bottom * height)]
        assert (first.tool_call.name, first.tool_call.arguments["bbox_2d"]) == (tool, box)
        tools[tool] += 1
        regions[region] += 1
        read = next(turn.observation for turn in reversed(shown.turns) if turn.observation is not None)
        number = re.search(r"\d+", read)
        assert parse_turn(shown.turns[-1].text).answer == (number.group() if number else "none")
    assert 80 <= tools["ocr"] <= 120
    assert set(regions) == {"strip 1", "strip 2", "strip 3", "strip 4"}
    assert regions["strip 1"] > regions["strip 3"] > regions["strip 2"] + regions["strip 4"]
    right = HABIT[1] + HABIT[2] / 4
    assert abs(regions["strip 3"] / 200 - right) < 0.1


def test_rationale_looks_from_place_to_place_until_it_has_found(preprocessor, toolbox):
    for task in (load("sft", size=12)[index] for index in range(12)):
        text = rationale(task)
        names = list(task.metadata["regions"])
        seen = names[: names.index(task.metadata["region"]) + 1]
        assert text == ", ".join(f"{name} {task.metadata['aspect'][name]}" for name in seen) + f": {seen[-1]}"


async def test_demonstrations_are_laid_out_as_rollouts_are(toolbox, preprocessor):
    tasks = [load("sft", size=6)[index] for index in range(6)]
    demonstrations = [
        await play(task, opened(task, toolbox), toolbox, preprocessor, "habit", random.Random(index))
        for index, task in enumerate(tasks)
    ]
    tokenizer = train_tokenizer([text for item in demonstrations for text in item.texts], vocabulary=1500)
    template = ChatTemplate(tokenizer)
    for task, shown in zip(tasks, demonstrations, strict=True):
        script = Script([turn.text for turn in shown.turns], template)
        config = RolloutConfig(group_size=1, vision=vision_settings(MICRO), system=shown.system)
        (trajectory,) = await rollout([task], toolbox, script, template, config)
        sample = lay_out(shown, template)
        end = len(trajectory.ids)
        assert list(sample.ids[:end]) == trajectory.ids
        assert list(sample.mask[:end]) == trajectory.mask
        assert list(sample.ids[end:]) == [template.end_id]
        assert [image.grid for image in sample.images] == [
            patches.grid for patches in preprocessor.patches_now(trajectory.images)
        ]


def test_short_demonstrations_are_well_formed(preprocessor, toolbox):
    task = load("sft", size=1)[0]
    patches = preprocessor.patches_now(opened(task, toolbox))
    for shown in (describe(task, patches), guess(task, patches, random.Random(0))):
        assert reward([shown.turns[0].text], "?", task.verifier).format == 1.0


class Script:
    """A Generator that says what it is told to."""

    def __init__(self, texts, template):
        self._texts = list(texts)
        self._template = template

    async def generate(self, session, ids, images, sampling):
        text = self._texts.pop(0)
        sampled = self._template.encode(text)
        return Generation(sampled, [0.0] * len(sampled), text, "stop", 0, 0.0, 0.0)

    def release(self, session):
        """Nothing is kept."""

    def drain_spans(self):
        return []
