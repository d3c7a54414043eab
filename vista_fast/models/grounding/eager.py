"""The network run by torch as transformers has it: for configurations that can't be exported, and to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vista_fast.models.backend import Device, Signature, TensorSpec, TorchModel
from vista_fast.models.grounding.export import INPUTS, OUTPUTS, load_torch, pixel_mask

if TYPE_CHECKING:
    import torch

_RANKS = {"pixels": 4}
SIGNATURE = Signature(
    tuple(
        TensorSpec(name, (None,) * _RANKS.get(name, 2), np.dtype(np.float32 if name == "pixels" else np.int64))
        for name in INPUTS
    ),
    tuple(TensorSpec(name, (None,) * 3, np.dtype(np.float32)) for name in OUTPUTS),
    {},
)


def eager_network(folder: Path, device: Device = "cpu") -> TorchModel:
    """The model in a folder, which takes canvases of any size, in f32.

    Args:
        folder: as ``find_grounding_dino`` gives it.
        device: "cpu" or "cuda", which is torch's current one now. There the convolutions are in TF32 while
            ``torch.backends.cudnn.allow_tf32`` is set, which is the program's to say.

    Raises:
        InvalidArgumentError: torch has no such device, or weights are missing in the model's file.
        MissingExtraError: torch or transformers is not installed.
    """
    return TorchModel.of_module(_network(load_torch(folder)), SIGNATURE, device=device)


def _network(model: Any) -> torch.nn.Module:
    """The model as a function of INPUTS; the phrases and positions are those which it finds itself."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, pixels: torch.Tensor, covered: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, *_: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            height, width = pixels.shape[2:]
            found = self.model(
                pixel_values=pixels,
                pixel_mask=pixel_mask(covered, (height, width)),
                input_ids=ids,
                attention_mask=mask,
            )
            return found.logits, found.pred_boxes

    return Network()
