"""What the kernels compute, in torch operations, row by row: their definition.

The resize uses the filter weights of Pillow's ``Image.resize`` in float32, without Pillow's rounding to uint8 after
each of its two passes unless the call is ``rounded``: it equals Pillow's result to within that rounding, and
``torch.nn.functional.interpolate(..., antialias=True)`` clamped to 0..255 to within float32 error.
"""

from __future__ import annotations

import torch

from .calls import BoxOverlay, CropPatchify, MaskResize, RaggedMasks
from .ragged import CropResize, Filter, RaggedImages, columns_first


def crop_resize_normalise(call: CropResize) -> torch.Tensor:
    """Runs ``call`` row by row. Returns [N, 3, height, width] of ``call.dtype`` on the device of the pixels."""
    device = call.images.pixels.device
    out = torch.empty(call.out_shape, dtype=call.dtype, device=device)
    for n in range(len(call.rows)):
        out[n] = _normalised_row(call, n, call.size)
    return out


def crop_resize_patchify(call: CropPatchify) -> torch.Tensor:
    """Runs ``call`` row by row. Returns [patches, 3 * temporal * patch * patch] of ``call.dtype``."""
    patch, merge, temporal = call.patch_size, call.merge_size, call.temporal_patch_size
    rows = []
    for n, (height, width) in enumerate(call.sizes.tolist()):
        groups = height // (patch * merge), merge, patch, width // (patch * merge), merge, patch
        row = _normalised_row(call, n, (height, width)).view(3, *groups)
        row = row.permute(1, 4, 2, 5, 0, 3, 6).unsqueeze(5).expand(-1, -1, -1, -1, -1, temporal, -1, -1)
        rows.append(row.reshape(-1, call.out_shape[1]))
    if not rows:
        return torch.empty(call.out_shape, dtype=call.dtype, device=call.images.pixels.device)
    return torch.cat(rows).to(call.dtype)


def box_overlay(call: BoxOverlay) -> RaggedImages:
    """Runs ``call`` outline by outline. Returns copies of its images."""
    copies = [call.images.image(number).clone() for number in range(len(call.images.offsets))]
    colors = call.colors.to(call.images.pixels.device)
    for n, (row, width) in enumerate(zip(call.rows.tolist(), call.widths.tolist(), strict=True)):
        left, top, right, bottom = call.boxes[n].tolist()
        box = copies[row][top:bottom, left:right]
        lower, farther = max(bottom - top - width, 0), max(right - left - width, 0)
        for side in (box[:width], box[lower:], box[:, :width], box[:, farther:]):
            side[:] = colors[n]
    return RaggedImages.pack(copies)


def mask_resize(call: MaskResize) -> RaggedMasks:
    """Runs ``call`` mask by mask."""
    device = call.scores.device
    values = [torch.empty(0, dtype=torch.bool, device=device)]
    for scores, (height, width) in zip(call.scores.float(), call.sizes.tolist(), strict=True):
        down = resize_weights(scores.shape[0], height, "bilinear", device)
        across = resize_weights(scores.shape[1], width, "bilinear", device)
        values.append((down @ scores @ across.T > call.threshold).flatten())
    return RaggedMasks(torch.cat(values), call.offsets, call.sizes)


def _normalised_row(call: CropResize | CropPatchify, n: int, size: tuple[int, int]) -> torch.Tensor:
    """Row n at ``size``, float32 [3, height, width]."""
    device = call.images.pixels.device
    left, top, right, bottom = call.boxes[n].tolist()
    crop = call.images.image(int(call.rows[n]))[top:bottom, left:right].permute(2, 0, 1).float()
    down = resize_weights(bottom - top, size[0], call.filter, device)
    across = resize_weights(right - left, size[1], call.filter, device).T
    if not call.rounded:
        levels = (down @ crop @ across).clamp(0, 255)
    elif columns_first(call.boxes[n : n + 1], torch.tensor([size])).item():
        levels = _whole_levels(_whole_levels(down @ crop) @ across)
    else:
        levels = _whole_levels(down @ _whole_levels(crop @ across))
    scale = torch.tensor(call.scale, device=device).view(3, 1, 1)
    return levels * scale + torch.tensor(call.shift, device=device).view(3, 1, 1)


def _whole_levels(values: torch.Tensor) -> torch.Tensor:
    return (values + 0.5).floor().clamp(0, 255)


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
