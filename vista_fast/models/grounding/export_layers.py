"""Layers of transformers' Grounding DINO as the libraries run them fast: the same arithmetic in another order of axes.

What transformers writes keeps pairs of coordinates and the few points of a query in the last axes, over which no vector
unit is filled, and gives the scores of every pixel the length of the longest caption. Here queries are the last axis,
levels are summed one by one, and only the scores that leave the network are that long. Which pixels are proposals is
asked without a division, which some libraries round otherwise: a canvas of 800 rows has pixels just at the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def rewrite_layers(model: Any) -> None:
    """Replaces the deformable attentions, the scores of tokens and the proposals, in this model alone.

    Args:
        model: a GroundingDinoForObjectDetection.
    """
    from transformers.models.grounding_dino import modeling_grounding_dino as modeling

    for module in model.modules():
        if isinstance(module, modeling.GroundingDinoMultiscaleDeformableAttention):
            _replace_forward(module, _deformable_attention)
        elif isinstance(module, modeling.GroundingDinoContrastiveEmbedding):
            _replace_forward(module, _padded_token_scores)
    # Of a pixel's scores the best alone is read, which padding is not.
    _replace_forward(model.model.encoder_output_class_embed, _token_scores)
    model.model.generate_encoder_output_proposals = MethodType(_proposals, model.model)


def _replace_forward(layer: Any, forward: Callable[..., Any]) -> None:
    layer.forward = MethodType(forward, layer)


def _deformable_attention(
    layer: Any,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    encoder_hidden_states: torch.Tensor | None = None,
    encoder_attention_mask: torch.Tensor | None = None,
    position_embeddings: torch.Tensor | None = None,
    reference_points: torch.Tensor | None = None,
    spatial_shapes: torch.Tensor | None = None,
    spatial_shapes_list: Sequence[tuple[int, int]] = (),
    level_start_index: torch.Tensor | None = None,
    output_attentions: bool = False,
) -> tuple[torch.Tensor, None]:
    """Equation 3 of Deformable DETR (arXiv 2010.04159), under the names that transformers calls it by.

    Shapes: n images, h heads of c channels, l levels, p points of each, q queries.

    Args:
        layer: the GroundingDinoMultiscaleDeformableAttention.
        hidden_states: [n, q, h c].
        attention_mask: bool [n, pixels of all levels], False for padding.
        encoder_hidden_states: [n, pixels of all levels, h c].
        position_embeddings: [n, q, h c], added to ``hidden_states``.
        reference_points: [n, q, l, 2], or boxes [n, q, l, 4] as centre and size, in fractions of the image.
        spatial_shapes_list: height and width of each level, in pixels.

    Returns:
        [n, q, h c], and None in place of the weights, which nothing reads.
    """
    import torch

    assert encoder_hidden_states is not None
    assert reference_points is not None
    heads, levels, points = layer.n_heads, layer.n_levels, layer.n_points
    channels = layer.d_model // heads
    sides = [(int(height), int(width)) for height, width in spatial_shapes_list]
    if position_embeddings is not None:
        hidden_states = hidden_states + position_embeddings
    count, queries = hidden_states.shape[:2]

    values = layer.value_proj(encoder_hidden_states)
    if attention_mask is not None:
        values = values.masked_fill(~attention_mask[..., None], 0.0)
    offsets = layer.sampling_offsets(hidden_states)  # [n, q, h l p 2]
    if reference_points.shape[-1] == 2:
        grid = _around_points(offsets, reference_points, sides, (count, queries, heads, levels, points))
    else:
        grid = _in_boxes(offsets, reference_points, (count, queries, heads, levels, points))
    weights = layer.attention_weights(hidden_states).view(count, queries, heads, levels * points).softmax(-1)
    weights = weights.permute(0, 2, 3, 1).reshape(count * heads, 1, levels * points, queries)

    seen = []
    images = values.split([height * width for height, width in sides], dim=1)
    for level, ((height, width), weight) in enumerate(zip(sides, weights.split(points, dim=2), strict=True)):
        image = images[level].transpose(1, 2).reshape(-1, channels, height, width)
        sampled = torch.nn.functional.grid_sample(image, grid[:, level], align_corners=False)  # [n h, c, p, q]
        seen.append((sampled * weight).sum(2))
    total = reduce(torch.add, seen).reshape(count, heads * channels, queries)
    return layer.output_proj(total.transpose(1, 2)), None


def _around_points(
    offsets: torch.Tensor,
    reference_points: torch.Tensor,
    sides: Sequence[tuple[int, int]],
    shape: tuple[int, int, int, int, int],
) -> torch.Tensor:
    """Where to sample, [n h, l, p, q, 2] in -1 to 1: offsets in pixels of their level around points [n, q, l, 2]."""
    import torch

    count, queries, heads, levels, points = shape
    pixel = torch.tensor([[2 / width, 2 / height] for height, width in sides], dtype=offsets.dtype)
    pixel = pixel.to(offsets.device).view(1, levels, 1, 2).expand(heads, levels, points, 2).reshape(-1)
    offsets = (offsets * pixel).view(count, queries, heads, levels, points, 2).permute(0, 2, 3, 4, 1, 5)
    centres = (2 * reference_points - 1).transpose(1, 2)
    # Pairs lie flat while they are added, or the sum would be taken two numbers at a time.
    grid = offsets.reshape(count, heads, levels, points, queries * 2) + centres.reshape(count, 1, levels, 1, -1)
    return grid.reshape(count * heads, levels, points, queries, 2)


def _in_boxes(
    offsets: torch.Tensor, reference_boxes: torch.Tensor, shape: tuple[int, int, int, int, int]
) -> torch.Tensor:
    """The same around the centres of boxes [n, q, l, 4]: an offset counts half sides of the box, divided by the number
    of points."""
    count, queries, heads, levels, points = shape
    offsets = offsets.view(count, queries, heads, levels, points, 2).permute(0, 2, 3, 4, 1, 5)
    boxes = reference_boxes.transpose(1, 2)[:, None, :, None]
    grid = offsets * (boxes[..., 2:] / points) + (2 * boxes[..., :2] - 1)
    return grid.reshape(count * heads, levels, points, queries, 2)


def _proposals(
    model: Any, enc_output: torch.Tensor, padding_mask: torch.Tensor, spatial_shapes_list: Sequence[tuple[int, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """A box about each pixel that the image covers, but for those whose centre is within 1 % of an edge.

    Args:
        model: the GroundingDinoModel.
        enc_output: [n, pixels of all levels, c].
        padding_mask: bool [n, pixels of all levels], True for padding.
        spatial_shapes_list: height and width of each level, in pixels.

    Returns:
        What the heads read of each pixel [n, pixels, c], and the boxes [n, pixels, 4] before their sigmoid, as centre
        and size; infinite where there is none.
    """
    import torch

    boxes, inside = [], []
    lengths = [int(height) * int(width) for height, width in spatial_shapes_list]
    for level, ((height, width), mask) in enumerate(
        zip(spatial_shapes_list, torch.split(padding_mask, lengths, dim=1), strict=True)
    ):
        covered = ~mask.view(-1, height, width)
        sides = torch.stack([covered[:, 0].sum(1), covered[:, :, 0].sum(1)], dim=1)[:, None]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        twice = (2 * torch.stack([columns, rows], dim=-1).view(1, -1, 2) + 1).to(sides)  # the centres
        size = 0.05 * 2.0**level
        # 0.01 < centre / side < 0.99 in integers, which no library rounds.
        within = ((twice * 50 > sides) & (twice * 50 < sides * 99)).all(-1, keepdim=True)
        inside.append(within if size < 0.99 else torch.zeros_like(within))
        centres = twice.to(enc_output.dtype) / (2 * sides).to(enc_output.dtype)
        boxes.append(torch.nn.functional.pad(centres, (0, 2), value=size))
    left_out = padding_mask.unsqueeze(-1) | ~torch.cat(inside, dim=1)
    fractions = torch.cat(boxes, dim=1)
    proposals = torch.log(fractions / (1 - fractions)).masked_fill(left_out, float("inf"))
    return model.enc_output_norm(model.enc_output(enc_output.masked_fill(left_out, 0.0))), proposals


def _token_scores(
    layer: Any, vision_hidden_state: torch.Tensor, text_hidden_state: torch.Tensor, text_token_mask: torch.Tensor
) -> torch.Tensor:
    """[n, q, tokens] logits of queries and tokens, minus infinity for tokens that are padding."""
    scores = vision_hidden_state @ text_hidden_state.transpose(-1, -2)
    return scores.masked_fill(~text_token_mask[:, None, :], float("-inf"))


def _padded_token_scores(layer: Any, *states: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
    """The same [n, q, max_text_len], minus infinity at the end."""
    import torch

    scores = _token_scores(layer, *states, **named)
    return torch.nn.functional.pad(scores, (0, layer.max_text_len - scores.shape[-1]), value=float("-inf"))
