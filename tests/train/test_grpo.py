"""One step of GRPO: which trajectories count, what the update does, and what is logged."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import MICRO

from vista_fast.engine import Engine
from vista_fast.errors import AbortedError
from vista_fast.rollout import ChatTemplate, Preprocessor
from vista_fast.tools import Toolbox
from vista_fast.train.checkpoint import TrainState
from vista_fast.train.config import GrpoConfig
from vista_fast.train.grpo import Grpo, check_played
from vista_fast.train.optim import MuonAdamW
from vista_fast.train.policy import Sample, collate, score, vision_settings
from vista_fast.types import Reward, Task, Trajectory, Turn

CONFIG = GrpoConfig(tasks_per_step=1, group=2, micro_batch=1, warmup_steps=1, lr=1e-3, entropy=0.0)
CALL = '<think>a</think><tool_call>{"name": "zoom", "arguments": {}}</tool_call>'


@pytest.fixture(scope="module")
def engine():
    with Engine(threads=1) as engine:
        yield engine


@pytest.fixture
def grpo(engine, model, tokenizer):
    state = TrainState(0, model, tokenizer, MuonAdamW(model, CONFIG.lr), random.Random(0))
    return Grpo(state, [], Toolbox.default(engine), CONFIG, MICRO, seed=0)


class Play:
    """Makes trajectories of one turn whose log-probabilities are those of the policy as it stands."""

    def __init__(self, engine, state):
        self.template = ChatTemplate(state.tokenizer)
        self.preprocessor = Preprocessor(engine, vision_settings(MICRO))
        self.image = engine.image(np.full((56, 56, 3), 200, np.uint8))
        self.state = state

    def logprobs(self, sample):
        batch = collate([sample], image_id=self.template.image_id, pad_id=self.state.tokenizer.pad_token_id)
        with torch.no_grad():
            return score(self.state.model, batch, forbidden=self.template.forbidden_ids).logprobs.tolist()

    def __call__(self, text, reward, *, group="g", version=0):
        patches = self.preprocessor.patches_now([self.image])
        prompt = self.template.prompt("Tools: zoom.", "Which?", [patch.grid for patch in patches])
        ids = self.template.encode(text)
        mask = [0] * len(prompt) + [1] * len(ids)
        logprobs = self.logprobs(Sample(prompt + ids, mask, patches))
        lost = reward is None
        return Trajectory(
            task=Task(group, "x", "x", "Which?", (), "1", lambda answer, truth: answer == truth),
            flow=group,
            group=group,
            status="lost" if lost else "answered",
            ids=prompt + ids,
            mask=mask,
            logprobs=[0.0] * len(prompt) + logprobs,
            images=[self.image],
            turns=[Turn(text, ids, logprobs, version, 0.0, 1.0)],
            answer=None,
            reward=None if lost else Reward(reward, 0.0, 1.0, reward - 1.0),
            correct=False,
            started=0.0,
            ended=1.0,
        )


@pytest.fixture
def play(engine, grpo):
    return Play(engine, grpo.state)


def test_a_step_of_which_nothing_is_left_ends_the_run(play):
    lost = [play("<answer>1", None), replace(play("<answer>2", None), error="AbortedError: no networks")]
    lost[0].error = "AbortedError: no memory"
    with pytest.raises(AbortedError, match="all 2 trajectories were lost, the first one to AbortedError: no memory"):
        check_played(lost)
    check_played([*lost, play("<answer>1", 1.0)])


def test_lost_and_equal_groups_drop_out(grpo, play):
    trajectories = [
        play("<answer>1", 2.0, group="a"),
        play("<answer>2", 1.0, group="a"),
        play("<answer>3", None, group="a"),
        play("<answer>1", 1.0, group="b"),
        play("<answer>2", 1.0, group="b"),
        play("<answer>2", 2.0, group="c"),
        play("<answer>3", None, group="c"),
    ]
    scored = grpo.score_groups(trajectories)
    assert [item.group for item in scored] == ["a", "a"]
    assert [item.advantage for item in scored] == pytest.approx([0.5**0.5, -(0.5**0.5)], abs=1e-5)


def test_a_step_moves_towards_the_better_of_a_group(grpo, play):
    good, bad = play("<answer>1", 2.0), play("<answer>2", 1.0)
    scored = grpo.score_groups([good, bad])
    before = [sum(item.sampled) for item in scored]
    grpo.update(scored)
    after = [sum(play.logprobs(item.sample)) for item in scored]
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_only_sampled_ids_are_scored(grpo, play):
    trajectory = play(CALL, 2.0)
    (item, _) = grpo.score_groups([trajectory, play("<answer>2", 1.0)])
    assert len(item.sampled) == sum(trajectory.mask) == len(item.versions) == len(item.in_call)
    inside = [token for token, flag in zip(trajectory.turns[0].token_ids, item.in_call, strict=True) if flag]
    assert play.template.decode(inside) == '<tool_call>{"name": "zoom", "arguments": {}}'


def test_on_policy_ratios_are_one_and_unweighted(grpo, play):
    update = grpo.update(grpo.score_groups([play("<answer>1", 2.0), play("<answer>2", 1.0)]))
    assert update.ratio_max < 1e-4
    assert update.weight / update.share == pytest.approx(1.0, abs=1e-4)
    assert update.truncated == 0.0
    assert update.clipped == 0.0


def test_stale_samples_get_truncated_importance_weights(grpo, play):
    stale = play("<answer>1", 2.0), play("<answer>2", 1.0)
    for trajectory in stale:  # the sampler held every id for e times rarer than the present policy does
        trajectory.logprobs = [value - mask for value, mask in zip(trajectory.logprobs, trajectory.mask, strict=True)]
    grpo.state.step = 1
    update = grpo.update(grpo.score_groups(stale))
    assert update.ratio_max == pytest.approx(1.0, abs=1e-3)
    assert update.truncated / update.share == pytest.approx(1.0)
    assert update.weight / update.share == pytest.approx(CONFIG.importance_cap)
    assert update.clipped == 0.0  # the ratio itself is taken against the weights before the update


def test_second_update_takes_its_ratio_against_the_first(grpo, play, engine):
    config = replace(CONFIG, updates=2, lr=0.05)
    state = TrainState(
        0, grpo.state.model, grpo.state.tokenizer, MuonAdamW(grpo.state.model, config.lr), random.Random(0)
    )
    again = Grpo(state, [], Toolbox.default(engine), config, MICRO, seed=0)
    update = again.update(again.score_groups([play("<answer>1", 2.0), play("<answer>2", 1.0)]))
    assert update.clipped > 0.0
    assert update.ratio_max < 1e-4


def test_nothing_to_learn_from_leaves_the_weights_alone(grpo, play):
    before = {name: value.clone() for name, value in grpo.state.model.state_dict().items()}
    update = grpo.update(grpo.score_groups([play("<answer>1", 1.0), play("<answer>2", 1.0)]))
    assert update.share == 0.0
    for name, value in grpo.state.model.state_dict().items():
        assert torch.equal(value, before[name]), name
