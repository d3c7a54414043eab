"""Muon for matrices, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices, roughly: quintic Newton-Schulz iteration over [n, rows, cols].

    The coefficients are those of Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): singular
    values end within about 0.7 to 1.2, and so need no more than bf16.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    done: Tensor = (x.mT if tall else x).to(matrices.dtype)
    return done


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by Newton-Schulz, for the weight matrices of hidden layers.

    ``lr`` is the root mean square of an update's entries times 5 or so: the update is scaled by 0.2 sqrt(max(rows,
    cols)) (Liu et al. 2025, arXiv 2502.16982), so that Muon and AdamW share one learning rate.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault((parameter.shape[0], parameter[0].numel()), []).append(parameter)
            for (rows, cols), members in by_shape.items():
                updates = torch.stack([self._momentum(parameter, group["momentum"]) for parameter in members])
                updates = orthogonalise(updates) * (0.2 * max(rows, cols) ** 0.5)
                for parameter, update in zip(members, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.view_as(parameter), alpha=-group["lr"])

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - momentum)
        nesterov: Tensor = parameter.grad.lerp(state["momentum"], momentum)
        return nesterov.flatten(1)


class Optimiser:
    """Optimisers over disjoint parts of a policy, driven as one with a common learning rate."""

    def __init__(self, lr: float, *parts: torch.optim.Optimizer) -> None:
        self.lr = lr
        self._parts = parts

    def step(self, scale: float = 1.0) -> None:
        """One update at ``scale`` times the learning rate; gradients are cleared after it."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self.lr * scale
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)


class MuonAdamW(Optimiser):
    """Muon for hidden matrices, AdamW for embeddings, biases and norms: for SFT, where gradients are clear."""

    def __init__(self, model: nn.Module, lr: float) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            hidden = parameter.ndim >= 2 and "embed" not in name and "lm_head" not in name
            (matrices if hidden else others).append(parameter)
        adamw = torch.optim.AdamW(others, lr, betas=(0.9, 0.98), weight_decay=0.0)
        super().__init__(lr, Muon(matrices, lr), adamw)


class AdamW(Optimiser):
    """AdamW for everything: for GRPO, whose noisy gradients Muon would amplify in every direction."""

    def __init__(self, model: nn.Module, lr: float) -> None:
        super().__init__(lr, torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.98), weight_decay=0.0))
