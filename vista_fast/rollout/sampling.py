"""Drawing ids from logits, and knowing when a text has run into a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from vista_fast.errors import InvalidArgumentError
from vista_fast.rollout.generator import Sampling

_LARGEST_UNIFORM = 1 - 2.0**-32


def noise(seed: int, count: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1) for positions 0 to count-1 of a generation: a function of seed and position alone."""
    return np.random.Generator(np.random.Philox(key=seed & (2**64 - 1))).random(count)


class TokenSampler:
    """Draws one id per row, each row by its own Sampling.

    The draw inverts the cumulative distribution at the row's uniform number, so it depends on that row alone.
    """

    def __init__(self, vocabulary: int, device: torch.device) -> None:
        self._vocabulary = vocabulary
        self._device = device
        self._biases: dict[tuple[int, ...], torch.Tensor] = {}

    def draw(
        self, logits: torch.Tensor, samplings: Sequence[Sampling], uniforms: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Ids and their log-probabilities, [rows] each, from ``logits`` [rows, vocabulary].

        Raises:
            InvalidArgumentError: logits are not finite.
        """
        temperatures = np.array([s.temperature for s in samplings], dtype=np.float32)
        scales = torch.from_numpy(np.where(temperatures > 0, temperatures, 1.0).astype(np.float32)).to(self._device)
        logits = logits.float() / scales[:, None] + self._bias(samplings)
        logprobs = torch.log_softmax(logits, dim=-1)
        chosen = self._invert(self._kept(logprobs, samplings), uniforms)
        if not temperatures.all():
            greedy = torch.from_numpy(temperatures == 0).to(self._device)
            chosen = torch.where(greedy, logprobs.argmax(dim=-1), chosen)
        picked = logprobs.gather(1, chosen[:, None])[:, 0].cpu().numpy()
        if not np.isfinite(picked).all():
            raise InvalidArgumentError("the model's logits are not finite; its weights are broken: load a checkpoint")
        return chosen.cpu().numpy(), picked

    def _bias(self, samplings: Sequence[Sampling]) -> torch.Tensor:
        first = samplings[0].forbidden_ids
        if all(s.forbidden_ids == first for s in samplings):
            return self._bias_of(first)
        return torch.stack([self._bias_of(s.forbidden_ids) for s in samplings])

    def _bias_of(self, forbidden: tuple[int, ...]) -> torch.Tensor:
        bias = self._biases.get(forbidden)
        if bias is None:
            bias = torch.zeros(self._vocabulary, device=self._device)
            bias[list(forbidden)] = -torch.inf
            self._biases[forbidden] = bias
        return bias

    def _kept(self, logprobs: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
        """Probabilities [rows, vocabulary], zero on what top_k and top_p leave out; rows need not sum to one."""
        probabilities = logprobs.exp()
        for row, sampling in enumerate(samplings):
            if sampling.top_k == 0 and sampling.top_p == 1.0:
                continue
            ranked, order = probabilities[row].sort(descending=True, stable=True)
            before = ranked.cumsum(0) - ranked
            out = before >= sampling.top_p
            if sampling.top_k:
                out[sampling.top_k :] = True
            probabilities[row, order[out]] = 0.0
        return probabilities

    def _invert(self, probabilities: torch.Tensor, uniforms: npt.NDArray[np.float64]) -> torch.Tensor:
        cumulative = probabilities.double().cumsum(dim=-1)
        u = torch.from_numpy(np.minimum(uniforms, _LARGEST_UNIFORM)).to(self._device)
        return torch.searchsorted(cumulative, (u * cumulative[:, -1])[:, None], right=True)[:, 0].clamp_(
            max=self._vocabulary - 1
        )


class StopText:
    """Tells when the text of sampled ids has run into a stop string.

    A stop string can only be completed by an id whose own text holds the string's last character, so most ids cost
    one dictionary look-up.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._pieces: dict[int, str] = {}

    def text(self, ids: list[int]) -> str:
        """The text of ids."""
        return self._decode(ids)

    def cut(self, ids: list[int], stop: tuple[str, ...]) -> str | None:
        """The text up to and with the first stop string, when the last id completed one; else None."""
        piece = self._pieces.get(ids[-1])
        if piece is None:
            piece = self._pieces[ids[-1]] = self._decode(ids[-1:])
        if not any(string[-1] in piece for string in stop):
            return None
        reach = max(map(len, stop))
        tail = self._decode(ids[-reach:])
        if not any(string in tail for string in stop):
            return None
        text = self._decode(ids)
        ends = [at + len(string) for string in stop if (at := text.find(string)) >= 0]
        return text[: min(ends)] if ends else None
