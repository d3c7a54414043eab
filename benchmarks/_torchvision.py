"""torchvision as a peer, beside a torch that it was not built for too: its Python parts need two operators' schemas."""

from __future__ import annotations

import importlib
from typing import Any


def torchvision() -> Any:
    """The module, or None, with a line that says why."""
    try:
        import torch

        try:
            return importlib.import_module("torchvision")
        except RuntimeError:
            # The wheel on PyPI is built for CUDA, so that its operators are missing beside a CPU build of torch.
            for name in ("nms", "qnms"):
                torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
            return importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        print(f"torchvision: left out, it can't be imported ({str(error).splitlines()[0]})")
        return None
