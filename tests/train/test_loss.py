"""The arithmetic of GRPO, sentence by sentence."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from vista_fast.train.loss import LossSettings, group_advantages, grpo_loss, mean_of_rollouts


def test_advantage_is_distance_from_mean_in_unbiased_deviations():
    rewards = [2.0, 1.0, 1.0, -1.0]
    mean, std = statistics.mean(rewards), statistics.stdev(rewards)
    assert group_advantages(rewards) == pytest.approx([(r - mean) / (std + 1e-6) for r in rewards], abs=1e-12)


@pytest.mark.parametrize("rewards", [[1.0] * 8, [0.1] * 3, [2.0], [], [-1.0, None], [None, None]])
def test_equal_and_lonely_groups_have_no_advantage(rewards):
    assert group_advantages(rewards) == [0.0] * len(rewards)


def test_lost_trajectories_take_no_part():
    with_lost = group_advantages([2.0, None, 1.0, 1.0])
    assert with_lost[1] == 0.0
    assert [with_lost[0], *with_lost[2:]] == group_advantages([2.0, 1.0, 1.0])


def loss_of(ratio: float, advantage: float, **settings: float) -> torch.Tensor:
    sampled = torch.tensor([-1.0])
    logprobs = (sampled + math.log(ratio)).requires_grad_()
    rows = torch.zeros(1, dtype=torch.long)
    entropy = torch.tensor([0.5])
    parts = grpo_loss(logprobs, sampled, torch.tensor([advantage]), rows, entropy, LossSettings(**settings), rollouts=1)
    parts.loss.backward()
    assert logprobs.grad is not None
    return torch.stack([parts.loss.detach(), logprobs.grad[0]])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 1.0, -1.0, -1.0),
        (1.1, 1.0, -1.1, -1.1),
        (1.5, 1.0, -1.2, 0.0),  # clipped: no reward for going further
        (0.5, 1.0, -0.5, -0.5),  # a good id that became rarer is pulled back
        (0.5, -1.0, 0.8, 0.0),
        (1.5, -1.0, 1.5, 1.5),
    ],
)
def test_ratio_is_clipped_on_the_side_that_would_gain(ratio, advantage, loss, gradient):
    torch.testing.assert_close(loss_of(ratio, advantage, clip=0.2), torch.tensor([loss, gradient]))


def test_entropy_is_a_bonus():
    assert loss_of(1.0, 1.0, entropy=0.1)[0] == pytest.approx(-1.0 - 0.1 * 0.5)


def test_kl_is_zero_at_the_reference_and_positive_elsewhere():
    logprobs = torch.tensor([-1.0, -2.0])
    rows, zeros = torch.zeros(2, dtype=torch.long), torch.zeros(2)
    settings = LossSettings(beta=1.0)

    def kl(reference: torch.Tensor) -> float:
        return grpo_loss(logprobs, logprobs, zeros, rows, zeros, settings, rollouts=1, reference=reference).kl

    assert kl(logprobs) == 0.0
    shifted = kl(torch.tensor([-1.5, -1.0]))
    expected = ((math.exp(-0.5) + 0.5 - 1) + (math.exp(1.0) - 1.0 - 1)) / 2
    assert shifted == pytest.approx(expected)


def test_stale_samples_are_weighted_by_the_truncated_ratio_of_policies():
    own, sampler = torch.tensor([-1.0, -1.0]), torch.tensor([-1.5, -4.0])
    rows, entropy = torch.tensor([0, 0]), torch.zeros(2)
    parts = grpo_loss(
        own, own, torch.ones(2), rows, entropy, LossSettings(importance_cap=2.0), rollouts=1, behaviour=sampler
    )
    weights = [math.exp(0.5), 2.0]
    assert parts.loss.item() == pytest.approx(-sum(weights) / 2)
    assert parts.importance_mean == pytest.approx(sum(weights) / 2)
    assert parts.importance_truncated == pytest.approx(0.5)


def test_mean_is_over_ids_then_over_rollouts():
    values = torch.tensor([1.0, 1.0, 1.0, 1.0, 5.0])
    rows = torch.tensor([0, 0, 0, 0, 1])
    assert mean_of_rollouts(values, rows, rollouts=2).item() == pytest.approx((1.0 + 5.0) / 2)
    assert mean_of_rollouts(values, rows, rollouts=4).item() == pytest.approx((1.0 + 5.0) / 4)


def test_micro_batches_add_up_to_the_batch():
    torch.manual_seed(0)
    logprobs, sampled, advantages, entropy = (torch.randn(9) for _ in range(4))
    rows = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])

    def loss(kept: torch.Tensor, first: int) -> torch.Tensor:
        return grpo_loss(
            logprobs[kept],
            sampled[kept],
            advantages[kept],
            rows[kept] - first,
            entropy[kept],
            LossSettings(entropy=0.1),
            rollouts=3,
        ).loss

    whole = loss(torch.arange(9), 0)
    torch.testing.assert_close(loss(torch.arange(5), 0) + loss(torch.arange(5, 9), 2), whole)
