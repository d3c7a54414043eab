"""The network run by torch as transformers has it: for configurations that can't be exported, and to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vista_fast.models.backend import Array, TensorSpec
from vista_fast.models.grounding.export import INPUTS, OUTPUTS, load_torch, pixel_mask


class EagerNetwork:
    """A Model that takes canvases of any size. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._model = load_torch(folder)
        ranks = {"pixels": 4}
        self.inputs = tuple(
            TensorSpec(name, (None,) * ranks.get(name, 2), np.dtype(np.float32 if name == "pixels" else np.int64))
            for name in INPUTS
        )
        self.outputs = tuple(TensorSpec(name, (None,) * 3, np.dtype(np.float32)) for name in OUTPUTS)
        self.metadata: Mapping[str, str] = {}

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        """Both outputs. The phrases and positions that are given are those which the model finds itself."""
        import torch

        pixels, covered, ids, mask = (torch.from_numpy(np.ascontiguousarray(batch[name])) for name in INPUTS[:4])
        height, width = pixels.shape[2:]
        with torch.inference_mode():
            found = self._model(
                pixel_values=pixels,
                pixel_mask=pixel_mask(covered, (height, width)),
                input_ids=ids,
                attention_mask=mask,
            )
        return {"logits": found.logits.numpy(), "boxes": found.pred_boxes.numpy()}
