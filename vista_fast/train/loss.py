"""The arithmetic of GRPO: advantages of a group, and the loss of sampled ids. Pure functions over tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ADVANTAGE_EPSILON = 1e-6


def group_advantages(rewards: Sequence[float | None]) -> list[float]:
    """Advantage of each trajectory of one group: (R - mean) / (std + 1e-6), std unbiased.

    ``None`` marks a trajectory lost to infrastructure: it takes no part in mean and std, and its advantage is 0. A
    group of equal rewards has advantage 0 everywhere, and so has a group of which at most one trajectory is left.
    """
    known = [reward for reward in rewards if reward is not None]
    if len(known) < 2 or all(reward == known[0] for reward in known):
        return [0.0] * len(rewards)
    mean = sum(known) / len(known)
    std = (sum((reward - mean) ** 2 for reward in known) / (len(known) - 1)) ** 0.5
    return [0.0 if reward is None else (reward - mean) / (std + ADVANTAGE_EPSILON) for reward in rewards]


@dataclass(frozen=True, slots=True)
class LossSettings:
    """``clip``: epsilon of the ratio's clip. ``beta``, ``entropy``: weights of the KL term and of the entropy bonus.
    ``importance_cap``: where importance weights of stale samples are cut."""

    clip: float = 0.2
    beta: float = 0.0
    entropy: float = 0.0
    importance_cap: float = 2.0


@dataclass(frozen=True, slots=True)
class LossParts:
    """The loss to minimise (a scalar with gradient) and what it was made of (means over rollouts of token means).

    ``clipped`` share of ids at which the clip was active; ``importance_truncated`` share of ids whose weight was cut.
    """

    loss: Tensor
    kl: float
    entropy: float
    clipped: float
    importance_mean: float
    importance_truncated: float


def grpo_loss(
    logprobs: Tensor,
    sampled: Tensor,
    advantages: Tensor,
    rows: Tensor,
    entropy: Tensor,
    settings: LossSettings,
    *,
    rollouts: int,
    reference: Tensor | None = None,
    behaviour: Tensor | None = None,
) -> LossParts:
    """Clipped token-level GRPO loss: mean over the ids of a rollout, then over ``rollouts``.

    All of [N], one entry per sampled id: ``logprobs`` of the policy that is trained (with gradient); ``sampled`` those
    that the ratio is taken against (the sampler's, or the policy's own before the first update when the sampler is
    stale); ``advantages``; ``rows`` the rollout 0..n-1 of each id; ``entropy`` (with gradient); ``reference`` the
    log-probabilities under the reference policy, for the KL estimate exp(d) - d - 1 with d = reference - policy
    (Schulman's k3, as in arXiv 2402.03300). ``behaviour``: the stale sampler's log-probabilities; when given, each
    id's term is weighted by exp(sampled - behaviour) cut at ``importance_cap``. ``rollouts`` is the divisor of the
    outer mean, so that micro-batches add up to the batch's loss.
    """
    ratio = torch.exp(logprobs - sampled)
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    surrogate = torch.minimum(ratio * advantages, clipped * advantages)
    weight = torch.ones_like(ratio)
    truncated = torch.zeros_like(ratio)
    if behaviour is not None:
        raw = torch.exp(sampled - behaviour).detach()
        weight = raw.clamp(max=settings.importance_cap)
        truncated = (raw > settings.importance_cap).float()
    kl = torch.zeros_like(ratio)
    if reference is not None:
        difference = reference - logprobs
        kl = torch.exp(difference) - difference - 1
    per_token = -weight * surrogate + settings.beta * kl - settings.entropy * entropy
    active = (ratio * advantages > clipped * advantages).float()

    def mean(values: Tensor) -> Tensor:
        return mean_of_rollouts(values, rows, rollouts)

    with torch.no_grad():
        logged = [float(mean(values)) for values in (kl, entropy, active, weight, truncated)]
    return LossParts(mean(per_token), *logged)


def mean_of_rollouts(values: Tensor, rows: Tensor, rollouts: int) -> Tensor:
    """Mean of ``values`` [N] over the ids of each rollout (``rows`` [N]), summed and divided by ``rollouts``."""
    counts = torch.zeros(int(rows.max()) + 1 if rows.numel() else 1).index_add_(0, rows, torch.ones_like(values))
    return (values / counts[rows]).sum() / rollouts
