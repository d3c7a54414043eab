"""BatchedEnv: many episodes at once through one engine."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from drawn_tasks import Drawn
from gymnasium.vector import AutoresetMode

from vista_fast.engine import Engine
from vista_fast.envs import BatchedEnv
from vista_fast.errors import AbortedError, InvalidArgumentError
from vista_fast.tools import Toolbox
from vista_fast.types import CallRecord, Observation, Reward, ToolCall

ZOOM = '<think>closer</think><tool_call>{"name": "zoom", "arguments": {"bbox_2d": [0, 0, 20, 10]}}</tool_call>'


def answer(text: object) -> str:
    return f"<think>seen</think><answer>{text}</answer>"


class Together(Toolbox):
    """Holds every call until ``expected`` of them are there, which only calls made at once can reach."""

    expected = 0

    async def record(self, call: ToolCall, **context: Any) -> tuple[Observation, CallRecord]:
        self.waiting = getattr(self, "waiting", 0) + 1
        self.flows = [*getattr(self, "flows", []), context["flow"]]
        while self.waiting < self.expected:
            await asyncio.sleep(0)
        return await super().record(call, **context)


def test_a_group_of_the_same_task(drawn: Drawn, engine: Engine) -> None:
    toolbox = Together(engine, Toolbox.default(engine)._tools.values())
    toolbox.expected = 4
    envs = BatchedEnv(drawn, num_envs=4, toolbox=toolbox)
    seen, infos = envs.reset(options={"indices": [2, 2, 2, 2]})
    assert seen in envs.observation_space
    assert list(infos["task_id"]) == ["drawn/2"] * 4
    seen, rewards, terminations, truncations, infos = envs.step([ZOOM] * 4)
    assert seen in envs.observation_space
    assert [images[0].shape for images in seen["images"]] == [(224, 448, 3)] * 4
    assert rewards.tolist() == [0.0] * 4
    assert not terminations.any()
    assert not truncations.any()
    assert len(set(toolbox.flows)) == 4
    assert sorted(call.outcome for call in infos["call"]).count("run") == 1
    _, rewards, terminations, _, infos = envs.step([answer(2), answer(3), "?", ZOOM.replace("zoom", "none")])
    assert rewards.tolist() == [2.0, 1.0, -1.0, 0.0]
    assert terminations.tolist() == [True, True, True, False]
    assert infos["reward"][0] == Reward(2, 0, 1, 1)
    assert infos["_reward"].tolist() == [True, True, True, False]
    assert list(infos["status"]) == ["answered", "answered", "stopped", None]
    envs.close()


def test_the_next_step_replaces_ended_episodes(drawn: Drawn, toolbox: Toolbox) -> None:
    envs = BatchedEnv(drawn, num_envs=2, toolbox=toolbox)
    envs.reset(options={"indices": [0, 1]})
    envs.step([answer(0), ZOOM])
    ended = envs.episodes[0]
    seen, rewards, terminations, truncations, infos = envs.step(["ignored", ZOOM])
    assert envs.episodes[0] is not ended
    assert seen["text"][0].startswith("How many?")
    assert rewards.tolist() == [0.0, 0.0]
    assert not terminations.any()
    assert not truncations.any()
    assert infos["_task_id"].tolist() == [True, False]
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


def test_without_autoreset_ended_episodes_wait(drawn: Drawn, toolbox: Toolbox) -> None:
    envs = BatchedEnv(drawn, num_envs=3, toolbox=toolbox, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(options={"indices": [0, 1, 2]})
    _, rewards, terminations, truncations, _ = envs.step([answer(0), ZOOM, ZOOM])
    assert rewards.tolist() == [2.0, 0.0, 0.0]
    _, rewards, terminations, truncations, infos = envs.step([answer(9), answer(1), ZOOM])
    assert rewards.tolist() == [0.0, 2.0, 0.0]
    assert terminations.tolist() == [True, True, False]
    assert infos["_status"].tolist() == [False, True, True]
    _, rewards, terminations, truncations, _ = envs.step([answer(9), answer(9), ZOOM])
    assert rewards.tolist() == [0.0, 0.0, -1.0]
    assert terminations.tolist() == [True, True, False]
    assert truncations.tolist() == [False, False, True]

    seen, infos = envs.reset(options={"reset_mask": np.array([True, False, True]), "indices": [3, 4]})
    assert seen in envs.observation_space
    assert [episode.task.id for episode in envs.episodes.values()] == ["drawn/3", "drawn/1", "drawn/4"]
    assert infos["_task_id"].tolist() == [True, False, True]


def test_a_lost_call_takes_no_other_episode_with_it(drawn: Drawn, engine: Engine) -> None:
    class Unlucky(Toolbox):
        async def record(self, call: ToolCall, **context: Any) -> tuple[Observation, CallRecord]:
            if context["flow"].startswith("drawn/1#"):
                raise AbortedError("the puller is gone; try again")
            return await super().record(call, **context)

    envs = BatchedEnv(drawn, num_envs=3, toolbox=Unlucky(engine, Toolbox.default(engine)._tools.values()))
    envs.reset(options={"indices": [0, 1, 2]})
    _, rewards, terminations, truncations, infos = envs.step([ZOOM] * 3)
    assert truncations.tolist() == [False, True, False]
    assert not terminations.any()
    assert list(infos["status"]) == [None, "lost", None]
    assert "puller" in infos["error"][1]
    assert rewards.tolist() == [0.0] * 3


def test_a_defect_in_a_tool_is_raised_when_all_have_stepped(drawn: Drawn, engine: Engine) -> None:
    class Defective(Toolbox):
        async def record(self, call: ToolCall, **context: Any) -> tuple[Observation, CallRecord]:
            if context["flow"].startswith("drawn/0#"):
                raise ZeroDivisionError("a defect")
            return await super().record(call, **context)

    envs = BatchedEnv(drawn, num_envs=2, toolbox=Defective(engine, Toolbox.default(engine)._tools.values()))
    envs.reset(options={"indices": [0, 1]})
    with pytest.raises(ZeroDivisionError, match="a defect"):
        envs.step([ZOOM, ZOOM])
    assert len(envs.episodes[1].steps) == 1


def test_seeds_choose_the_tasks(drawn: Drawn, toolbox: Toolbox) -> None:
    envs = BatchedEnv(drawn, num_envs=6, toolbox=toolbox)
    first = list(envs.reset(seed=5)[1]["task_id"])
    assert first == list(envs.reset(seed=5)[1]["task_id"])
    assert len(set(first)) > 1


def test_random_actions_stay_inside_the_spaces(drawn: Drawn, toolbox: Toolbox) -> None:
    envs = BatchedEnv(drawn, num_envs=3, toolbox=toolbox)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(5):
        actions = envs.action_space.sample()
        assert actions in envs.action_space
        seen, *_ = envs.step(actions)
        assert seen in envs.observation_space


@pytest.mark.parametrize("mode", [None, "sync"])
def test_gymnasium_makes_it(toolbox: Toolbox, mode: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        envs = gymnasium.make_vec("vista_fast/Mini-v0", 2, vectorization_mode=mode, size=6, toolbox=toolbox)
    assert isinstance(envs, BatchedEnv) is (mode is None)
    seen, _ = envs.reset(seed=1)
    assert seen in envs.observation_space
    seen, rewards, terminations, _, _ = envs.step((answer("-1"), ZOOM))
    assert seen in envs.observation_space
    assert rewards.tolist() == [1.0, 0.0]
    assert terminations.tolist() == [True, False]
    envs.close()


def test_misuse_is_refused(drawn: Drawn, toolbox: Toolbox) -> None:
    envs = BatchedEnv(drawn, num_envs=2, toolbox=toolbox)
    with pytest.raises(InvalidArgumentError, match="reset"):
        envs.step([ZOOM, ZOOM])
    with pytest.raises(InvalidArgumentError, match="all of them"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    envs.reset(seed=0)
    with pytest.raises(InvalidArgumentError, match="1 texts for 2"):
        envs.step([ZOOM])
    with pytest.raises(InvalidArgumentError, match="1 indices for 2"):
        envs.reset(options={"indices": [0]})
    with pytest.raises(InvalidArgumentError, match="reset_mask"):
        envs.reset(options={"reset_mask": np.array([1, 0])})
    with pytest.raises(InvalidArgumentError, match="SameStep"):
        BatchedEnv(drawn, toolbox=toolbox, autoreset_mode="SameStep")
    with pytest.raises(InvalidArgumentError, match="num_envs"):
        BatchedEnv(drawn, toolbox=toolbox, num_envs=0)
