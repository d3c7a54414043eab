"""The turn loop over the real engine, real tools and a random model of the true class."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from rollout_doubles import Script, answer  # noqa: E402

from vista_fast import Engine, Op, Toolbox  # noqa: E402
from vista_fast.devices import DeviceImage, DeviceStore, register_preprocess  # noqa: E402
from vista_fast.errors import InvalidArgumentError  # noqa: E402
from vista_fast.rollout import (  # noqa: E402
    ChatTemplate,
    Preprocessor,
    ReplayGenerator,
    RolloutConfig,
    Sampling,
    StepCost,
    TransformersGenerator,
    VisionSettings,
    engine_activity,
    read_trajectories,
    rollout,
    summarize,
    write_trajectories,
)
from vista_fast.types import Task, on_host  # noqa: E402

VISION = VisionSettings(patch_size=4, min_pixels=24 * 24, max_pixels=32 * 32)
ZOOM = '<think>x</think><tool_call>{"name": "zoom", "arguments": {"bbox_2d": [0, 0, 0.5, 1]}}</tool_call>'
CONFIG = RolloutConfig(group_size=4, max_context=2000, vision=VISION, system="", sampling=Sampling(max_tokens=160))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(threads=1) as engine:
        yield engine


@pytest.fixture(scope="module")
def template(tokenizer: Any) -> ChatTemplate:
    return ChatTemplate(tokenizer)


def drawn(seed: int) -> Task:
    pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return Task(f"t{seed}", "made", "made", "which?", (pixels,), "yes", lambda given, truth: given == truth)


async def test_a_group_that_asks_for_the_same_runs_it_once(engine: Engine, template: ChatTemplate) -> None:
    before = engine.stats()
    script = Script(template, lambda session, number: answer() if number else ZOOM)
    trajectories = await rollout([drawn(0)], Toolbox.default(engine), script, template, CONFIG)
    assert [t.status for t in trajectories] == ["answered"] * 4
    assert engine_activity(before, engine.stats()).requests == 4
    assert len({t.images[1].hash for t in trajectories}) == 1
    outcomes = sorted(t.turns[0].call.outcome for t in trajectories if t.turns[0].call)
    assert outcomes.count("run") == 1
    pixels = np.asarray(trajectories[0].images[1])
    assert pixels.shape[0] > pixels.shape[1]  # the left half of a 120 x 90 image


async def test_a_rollout_plays_where_its_images_are_placed(
    template: ChatTemplate, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    def left_half(calls: list[dict[str, Any]]) -> list[DeviceImage]:
        images = [call["image"] for call in calls]
        return [DeviceImage(one.pixels()[:, : one.width // 2].contiguous(), "5" * 32) for one in images]

    config = replace(CONFIG, group_size=2, max_turns=2, sampling=Sampling(max_tokens=12, temperature=0.8))
    config = replace(config, forced_prefix=ZOOM[: -len("</tool_call>")])
    with Engine(threads=1) as engine, TransformersGenerator(model, tokenizer, max_slots=2) as generator:
        store = DeviceStore("cpu")
        register_preprocess(engine, store)
        engine.register(Op("test.left", "1", run=left_half, cacheable=False, image_types=(DeviceImage,)))
        engine.redirect("image.zoom", DeviceImage, "test.left")
        placed = replace(config, place=store.put)
        trajectories = await rollout([drawn(3)], Toolbox.default(engine), generator, template, placed)
        read = read_trajectories(write_trajectories(tmp_path, "one", trajectories), engine)
    seen = [image for trajectory in trajectories for image in trajectory.images]
    assert seen
    assert all(isinstance(image, DeviceImage) for image in seen)
    for one, other in zip(trajectories, read, strict=True):
        assert other.ids == one.ids
        for stored, image in zip(other.images, one.images, strict=True):
            np.testing.assert_array_equal(stored, on_host(image))


async def test_training_sees_the_pixels_and_the_log_probabilities_of_sampling(
    engine: Engine, template: ChatTemplate, model: Any, tokenizer: Any, reference: Any
) -> None:
    toolbox = Toolbox.default(engine)
    prefix = ZOOM[: -len("</tool_call>")]
    config = RolloutConfig(
        group_size=3,
        max_turns=2,
        max_context=900,
        vision=VISION,
        system="",
        forced_prefix=prefix,
        sampling=Sampling(max_tokens=12, temperature=0.8),
    )
    with TransformersGenerator(model, tokenizer, max_slots=4) as generator:
        trajectories = await rollout([drawn(1), drawn(2)], toolbox, generator, template, config)
        summary = summarize(trajectories, generator.drain_spans(), slots=generator.max_slots)
    assert summary.trajectories == 6
    assert summary.makespan_without_tools > 0
    preprocessor = Preprocessor(engine, VISION)
    for trajectory in trajectories:
        images = await asyncio.to_thread(preprocessor.patches_now, trajectory.images)
        expected = reference.logprobs(trajectory.ids, images, 0.8, template.forbidden_ids)
        at = [index for index, bit in enumerate(trajectory.mask) if bit]
        assert len(at) == sum(len(turn.token_ids) for turn in trajectory.turns) >= 12
        picked = [float(expected[index - 1, trajectory.ids[index]]) for index in at]
        np.testing.assert_allclose([trajectory.logprobs[index] for index in at], picked, atol=1e-4)


async def test_a_kept_rollout_can_be_read_and_replayed(engine: Engine, template: ChatTemplate, tmp_path: Path) -> None:
    toolbox = Toolbox.default(engine)
    script = Script(template, lambda session, number: answer() if number else ZOOM)
    played = await rollout([drawn(3)], toolbox, script, template, CONFIG)
    back = read_trajectories(write_trajectories(tmp_path, "step", played), engine)
    for before, after in zip(played, back, strict=True):
        for x, y in zip(before.images, after.images, strict=True):
            np.testing.assert_array_equal(np.asarray(x), np.asarray(y))
    replayer = ReplayGenerator(back, slots=2, cost=StepCost.at_rate(1e5))
    again = await rollout([drawn(3)], toolbox, replayer, template, CONFIG)
    assert [(t.ids, t.mask, t.logprobs, t.status) for t in again] == [
        (t.ids, t.mask, t.logprobs, t.status) for t in played
    ]


async def test_a_broken_image_loses_its_task_only(engine: Engine, template: ChatTemplate) -> None:
    broken = Task("broken", "made", "made", "which?", (b"not an image",), "yes", lambda given, truth: False)
    script = Script(template, lambda session, number: answer())
    trajectories = await rollout([broken, drawn(4)], Toolbox.default(engine), script, template, CONFIG)
    assert [t.status for t in trajectories] == ["lost"] * 4 + ["answered"] * 4
    with pytest.raises(InvalidArgumentError):
        await rollout([drawn(4)], None, script, template, CONFIG)
