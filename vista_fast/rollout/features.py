"""Vision features that the rollouts of a group, and the turns of a rollout, share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch

from vista_fast.rollout.generator import Patches
from vista_fast.rollout.policy import DecodablePolicy


class FeatureCache:
    """Vision features by image hash within a budget of bytes: each image is encoded once per weight version."""

    def __init__(self, policy: DecodablePolicy, budget: int) -> None:
        self._policy = policy
        self._budget = budget
        self._features: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._bytes = 0
        self.encoded = 0

    def of(self, images: Sequence[Patches]) -> list[torch.Tensor]:
        """Features [visual tokens, width] of each image, in order."""
        missing = {image.hash: image for image in images if image.hash not in self._features}
        fresh = dict(zip(missing, self._policy.encode(list(missing.values())), strict=True)) if missing else {}
        self.encoded += len(fresh)
        found = [fresh[image.hash] if image.hash in fresh else self._features[image.hash] for image in images]
        for name, features in fresh.items():
            self._features[name] = features.clone()
            self._bytes += features.numel() * features.element_size()
        for image in images:
            self._features.move_to_end(image.hash)
        while self._bytes > self._budget:
            _, dropped = self._features.popitem(last=False)
            self._bytes -= dropped.numel() * dropped.element_size()
        return found

    def clear(self) -> None:
        """Forget all (the weights have changed)."""
        self._features.clear()
        self._bytes = 0
