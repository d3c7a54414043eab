"""The turn loop: ids, mask, images, limits, losses, barrier."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("transformers")

from rollout_doubles import GRID, Engine, Script, Toolbox, answer, call, task

from vista_fast.errors import AbortedError, DeadlineExceededError, InvalidArgumentError, OpError
from vista_fast.rollout import RolloutConfig, Sampling, rollout
from vista_fast.rollout.template import ChatTemplate
from vista_fast.rollout.timeline import makespan
from vista_fast.rollout.virtual_time import run_in_virtual_time
from vista_fast.types import Observation, Trajectory

ONE = RolloutConfig(group_size=1, max_context=4000, sampling=Sampling(max_tokens=200))


@pytest.fixture(scope="module")
def template(tokenizer: Any) -> ChatTemplate:
    return ChatTemplate(tokenizer)


def two_turns(session: str, number: int) -> str:
    return answer() if number else call()


async def test_the_context_grows_by_ids_and_is_never_encoded_again(template: ChatTemplate) -> None:
    first = template.encode(call())
    split = [*first[:8], *template.encode("a"), *template.encode("b"), *first[8:]]  # text would encode as one "ab"
    assert template.encode(template.decode(split)) != split
    seen = Observation("look: 7", (Engine().image("crop"),))
    toolbox = Toolbox(Engine(), lambda flow, call: seen)
    script = Script(template, lambda session, number: split if number == 0 else answer())
    (trajectory,) = await rollout([task()], toolbox, script, template, ONE)

    prompt = template.prompt(script_system(toolbox), "what is it?", [GRID])
    observation = template.observation("look: 7", [GRID], sampled=split)
    last = template.encode(answer())
    assert trajectory.ids == prompt + split + observation + last
    assert trajectory.mask == [0] * len(prompt) + [1] * len(split) + [0] * len(observation) + [1] * len(last)
    sampled = [lp for lp, m in zip(trajectory.logprobs, trajectory.mask, strict=True) if m]
    assert sampled == [lp for turn in trajectory.turns for lp in turn.logprobs]
    assert all(lp == 0.0 for lp, m in zip(trajectory.logprobs, trajectory.mask, strict=True) if not m)
    asked = script.asked[trajectory.flow]
    assert [len(images) for _, images, _ in asked] == [1, 2]
    assert asked[1][0] == prompt + split + observation
    assert [image.hash for image in trajectory.images] == [patches.hash for patches in asked[1][1]]
    assert trajectory.turns[0].observation == seen
    assert (trajectory.status, trajectory.correct, trajectory.answer) == ("answered", True, "yes")
    assert trajectory.reward is not None
    assert trajectory.reward.total == 2
    assert {turn.weight_version for turn in trajectory.turns} == {7}


def script_system(toolbox: Toolbox) -> str:
    from vista_fast.protocol import system_prompt

    return system_prompt(toolbox.schemas())


async def test_groups_share_images_and_differ_in_seeds(template: ChatTemplate) -> None:
    engine = Engine()
    toolbox = Toolbox(engine)
    script = Script(template, two_turns)
    config = RolloutConfig(group_size=4, seed=3)
    trajectories = await rollout([task("a"), task("b", ("other",))], toolbox, script, template, config)
    assert [t.group for t in trajectories] == ["0:a"] * 4 + ["1:b"] * 4
    assert len({t.flow for t in trajectories}) == 8
    assert engine.opened == ["picture", "other"]
    assert len(engine.preprocessed) == 2
    seeds = [asked[2].seed for t in trajectories for asked in script.asked[t.flow]]
    assert len(set(seeds)) == 16
    assert sorted(script.released) == sorted(t.flow for t in trajectories)
    again = Script(template, two_turns)
    await rollout([task("a"), task("b", ("other",))], toolbox, again, template, config)
    assert [asked[2].seed for t in trajectories for asked in again.asked[t.flow]] == seeds


@pytest.mark.parametrize("prefetch", [False, True])
async def test_prefetching_starts_with_the_images_of_each_group(prefetch: bool, template: ChatTemplate) -> None:
    begun: list[str] = []

    class Reading(Toolbox):
        def prefetch(self, images: Any) -> None:
            begun.extend(image.source for image in images)

    tasks = [task("a"), task("b", ("other",))]
    config = RolloutConfig(group_size=2, prefetch=prefetch)
    await rollout(tasks, Reading(Engine()), Script(template, two_turns), template, config)
    assert begun == (["picture", "other"] if prefetch else [])


async def test_placeholders_and_the_end_of_turn_reach_the_sampling(template: ChatTemplate) -> None:
    script = Script(template, two_turns)
    (trajectory,) = await rollout([task()], Toolbox(Engine()), script, template, ONE)
    sampling = script.asked[trajectory.flow][0][2]
    assert template.image_id in sampling.forbidden_ids
    assert sampling.end_ids == (template.end_id,)


async def test_an_observation_that_does_not_fit_is_left_out_whole(template: ChatTemplate) -> None:
    crop = Engine().image("crop")
    toolbox = Toolbox(Engine(), lambda flow, call: Observation("y" * 50, (crop,)))
    prompt = template.prompt(script_system(toolbox), "what is it?", [GRID])
    before = prompt + template.encode(call())
    room = len(before) + len(template.observation("y" * 50, [GRID], sampled=[0]))
    for budget, fits in ((room, False), (room + 30, True)):
        config = RolloutConfig(group_size=1, max_context=budget)
        (trajectory,) = await rollout([task()], toolbox, Script(template, two_turns), template, config)
        assert trajectory.status == "length_limit"
        assert len(trajectory.ids) <= budget
        if not fits:
            assert trajectory.ids == before
            assert len(trajectory.images) == 1
            assert trajectory.turns[0].observation is None
        else:
            assert trajectory.ids[: len(before)] == before
            assert len(trajectory.ids) == budget  # the second turn was cut where the context was full
            assert len(trajectory.images) == 2
        assert trajectory.reward is not None
        assert trajectory.reward.total == -1
        assert trajectory.turns[0].call is not None


async def test_a_turn_cut_at_max_tokens_ends_the_episode(template: ChatTemplate) -> None:
    config = RolloutConfig(group_size=1, sampling=Sampling(max_tokens=20))
    toolbox = Toolbox(Engine())
    (trajectory,) = await rollout([task()], toolbox, Script(template, two_turns), template, config)
    assert trajectory.status == "length_limit"
    assert sum(trajectory.mask) == 20
    assert toolbox.calls == []


async def test_a_prompt_longer_than_the_context_is_not_played(template: ChatTemplate) -> None:
    script = Script(template, two_turns)
    config = RolloutConfig(group_size=1, max_context=30)
    (trajectory,) = await rollout([task()], Toolbox(Engine()), script, template, config)
    assert trajectory.status == "length_limit"
    assert trajectory.turns == []
    assert script.asked == {}


async def test_the_last_turn_makes_no_call(template: ChatTemplate) -> None:
    toolbox = Toolbox(Engine())
    (trajectory,) = await rollout([task()], toolbox, Script(template, lambda s, n: call()), template, ONE)
    assert trajectory.status == "turn_limit"
    assert len(trajectory.turns) == 3
    assert len(toolbox.calls) == 2


@pytest.mark.parametrize("error", [DeadlineExceededError("late"), AbortedError("gone")])
async def test_infrastructure_loses_its_own_trajectory_only(template: ChatTemplate, error: Exception) -> None:
    def fail(flow: str, call: Any) -> Observation:
        if flow.endswith("/2"):
            raise error
        return Observation("seen")

    config = RolloutConfig(group_size=4)
    trajectories = await rollout([task()], Toolbox(Engine(), fail), Script(template, two_turns), template, config)
    assert [t.status for t in trajectories] == ["answered", "answered", "lost", "answered"]
    lost = trajectories[2]
    assert lost.reward is None
    assert lost.error is not None
    assert str(error) in lost.error
    assert lost.turns[0].call is not None
    assert not lost.correct


async def test_a_task_whose_image_is_broken_is_lost_and_the_others_go_on(template: ChatTemplate) -> None:
    broken = task("broken", (InvalidArgumentError("4 bytes are not an image"),))
    config = RolloutConfig(group_size=2)
    script = Script(template, two_turns)
    trajectories = await rollout([broken, task("good")], Toolbox(Engine()), script, template, config)
    assert [t.status for t in trajectories] == ["lost", "lost", "answered", "answered"]
    assert "4 bytes are not an image" in str(trajectories[0].error)


async def test_an_image_that_cannot_be_shown_is_a_failure_of_the_call(template: ChatTemplate) -> None:
    sliver = Engine().image((InvalidArgumentError("aspect ratio 400"),))
    toolbox = Toolbox(Engine(), lambda flow, call: Observation("", (sliver,)))
    (trajectory,) = await rollout([task()], toolbox, Script(template, two_turns), template, ONE)
    seen = trajectory.turns[0].observation
    assert trajectory.status == "answered"
    assert seen is not None
    assert seen.error is not None
    assert seen.error.kind == "E5"
    assert len(trajectory.images) == 1


async def test_any_other_error_ends_the_rollout_and_leaves_nothing_behind(template: ChatTemplate) -> None:
    def fail(flow: str, call: Any) -> Observation:
        raise OpError("a bug")

    script = Script(template, two_turns)
    toolbox = Toolbox(Engine(), fail, lambda flow: 0.0 if flow.endswith("/0") else 1e6)
    with pytest.raises(OpError, match="a bug"):
        await rollout([task()], toolbox, script, template, RolloutConfig(group_size=3))
    assert len(script.released) == 3
    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []


async def test_without_tools_the_answer_is_forced(template: ChatTemplate) -> None:
    prefix = "<think></think><answer>"
    config = RolloutConfig(group_size=1, tools=False, forced_prefix=prefix)
    script = Script(template, lambda session, number: "yes</answer>")
    toolbox = Toolbox(Engine())
    (trajectory,) = await rollout([task()], toolbox, script, template, config)
    assert (trajectory.status, trajectory.answer) == ("answered", "yes")
    assert trajectory.turns[0].text == prefix + "yes</answer>"
    forced = len(template.encode(prefix))
    sampled = len(template.encode("yes</answer>"))
    assert trajectory.mask[-sampled - forced :] == [0] * forced + [1] * sampled
    assert "look" not in template.decode(trajectory.ids)
    (same,) = await rollout([task()], None, script, template, config, engine=Engine())
    assert same.ids == trajectory.ids
    with pytest.raises(InvalidArgumentError, match="engine"):
        await rollout([task()], None, script, template, config)


def test_no_barrier_lets_each_go_on_and_a_barrier_does_not(template: ChatTemplate) -> None:
    """One slow call: without a barrier only its own trajectory waits for it."""

    def play(barrier: bool, concurrent: int | None = None) -> tuple[list[Trajectory], Script, Toolbox]:
        toolbox = Toolbox(Engine(), latency=lambda flow: 100.0 if flow.endswith("/0") else 1.0)
        script = Script(template, lambda s, n: answer() if n == 2 else call(), step=0.1)
        config = RolloutConfig(group_size=4, barrier=barrier, max_concurrent=concurrent)
        return run_in_virtual_time(rollout([task()], toolbox, script, template, config)), script, toolbox

    free, _, _ = play(False)
    held, script, toolbox = play(True)
    assert [t.ids for t in free] == [t.ids for t in held]
    decode = 0.1 * (2 * len(template.encode(call())) + len(template.encode(answer())))
    assert [t.ended for t in free] == pytest.approx([decode + 200, decode + 2, decode + 2, decode + 2])
    assert [t.ended for t in held] == pytest.approx([decode + 200] * 4)
    second_round = [submitted for _, _, _, submitted in toolbox.calls[4:]]
    assert min(second_round) >= max(script.ended[t.flow, 1] for t in held)
    chunked, _, _ = play(True, concurrent=2)
    assert makespan(chunked) == pytest.approx(2 * decode + 200 + 2)


def test_a_barrier_does_not_wait_for_those_that_have_ended(template: ChatTemplate) -> None:
    def turn(session: str, number: int) -> str:
        return answer() if number == int(session[-1]) else call()

    toolbox = Toolbox(Engine(), latency=lambda flow: 1.0)
    config = RolloutConfig(group_size=3, barrier=True)
    trajectories = run_in_virtual_time(rollout([task()], toolbox, Script(template, turn), template, config))
    assert [t.status for t in trajectories] == ["answered"] * 3
    assert [t.ended for t in trajectories] == [0, 1, 2]


def test_max_concurrent_bounds_what_is_under_way(template: ChatTemplate) -> None:
    toolbox = Toolbox(Engine(), latency=lambda flow: 1.0)
    config = RolloutConfig(group_size=6, max_concurrent=2)
    trajectories = run_in_virtual_time(rollout([task()], toolbox, Script(template, two_turns), template, config))
    assert makespan(trajectories) == 3


async def test_expectations_cover_the_turns_of_trajectories_with_tools(template: ChatTemplate) -> None:
    toolbox = Toolbox(Engine())
    (trajectory,) = await rollout([task()], toolbox, Script(template, two_turns), template, ONE)
    assert toolbox.expected == [trajectory.flow] * 2
