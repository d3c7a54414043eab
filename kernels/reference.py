"""Crop, antialiased resize and normalise in torch operations: the definition of what ``crop_resize`` computes.

The resize uses the filter weights of Pillow's ``Image.resize`` in float32, without Pillow's rounding to uint8 after
each of its two passes: it equals Pillow's result to within that rounding, and
``torch.nn.functional.interpolate(..., antialias=True)`` clamped to 0..255 to within float32 error.
"""

from __future__ import annotations

import torch

from .ragged import CropResize, Filter


def crop_resize_normalise(call: CropResize) -> torch.Tensor:
    """Runs ``call`` row by row. Returns [N, 3, height, width] of ``call.dtype`` on the device of the pixels."""
    device = call.images.pixels.device
    out = torch.empty(call.out_shape, dtype=call.dtype, device=device)
    scale = torch.tensor(call.scale, device=device).view(3, 1, 1)
    shift = torch.tensor(call.shift, device=device).view(3, 1, 1)
    for n, (image, box) in enumerate(zip(call.rows.tolist(), call.boxes.tolist(), strict=True)):
        left, top, right, bottom = box
        crop = call.images.image(image)[top:bottom, left:right].permute(2, 0, 1).float()
        down = resize_weights(bottom - top, call.size[0], call.filter, device)
        across = resize_weights(right - left, call.size[1], call.filter, device)
        out[n] = (down @ crop @ across.T).clamp(0, 255) * scale + shift
    return out


def resize_weights(length: int, size: int, filter: Filter, device: torch.device | str = "cpu") -> torch.Tensor:
    """The matrix float32 [size, length] that resizes a line of ``length`` samples to ``size``.

    Output i is centred at (i + 1/2) * length / size. Shrinking stretches the filter by length / size, which is what
    antialiases. The distance of sample x from that centre, in units of the stretched filter, is

        (size * (2x + 1) - length * (2i + 1)) / (2 * max(length, size))

    whose numerator is exact in integers; each output's weights are divided by their sum.
    """
    x = torch.arange(length, dtype=torch.int64, device=device)
    i = torch.arange(size, dtype=torch.int64, device=device).unsqueeze(1)
    distance = (size * (2 * x + 1) - length * (2 * i + 1)).float() / (2 * max(length, size))
    weights = filter_value(distance.abs(), filter)
    return weights / weights.sum(1, keepdim=True)


def filter_value(distance: torch.Tensor, filter: Filter) -> torch.Tensor:
    """The filter at ``distance`` >= 0 from its centre: a triangle, or Keys' cubic with a = -0.5 (Keys 1981, eq. 4)."""
    if filter == "bilinear":
        return (1 - distance).clamp(min=0)
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))
