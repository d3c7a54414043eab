"""The policy: a small model of transformers' Qwen2.5-VL class, and a fast training forward over the same weights.

Training with the class's own forward spends more time in per-image loops and masks than in arithmetic when the model
is small. ``hidden_states`` computes the same function on right-padded batches: images of one grid go through the
vision tower together, text through causal scaled-dot-product attention. A test holds it to the class's own logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vista_fast.errors import NotFoundError
from vista_fast.rollout.generator import Patches
from vista_fast.rollout.positions import lay_out
from vista_fast.rollout.vision import VisionSettings
from vista_fast.train.config import PolicyConfig
from vista_fast.train.tokenizer import IMAGE

Grid: TypeAlias = tuple[int, int, int]
"""Patches of an image along time, height and width."""


def build_policy(config: PolicyConfig, tokenizer: Any, *, seed: int = 0) -> Any:
    """A randomly initialised ``Qwen2_5_VLForConditionalGeneration`` (fp32, tied embeddings) of ``config``'s sizes.

    Every vision layer attends over the whole image, so that an image is one attention window whatever its grid.
    """
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    head = config.text_width // config.text_heads
    sections = [head // 2 - 2 * (head * 3 // 16), head * 3 // 16, head * 3 // 16]
    settings = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": config.text_width,
            "intermediate_size": config.text_feed_forward,
            "num_hidden_layers": config.text_layers,
            "num_attention_heads": config.text_heads,
            "num_key_value_heads": config.text_heads,
            "max_position_embeddings": config.context,
            "max_window_layers": config.text_layers,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta, "mrope_section": sections},
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "depth": config.vision_layers,
            "hidden_size": config.vision_width,
            "intermediate_size": config.vision_feed_forward,
            "num_heads": config.vision_heads,
            "out_hidden_size": config.text_width,
            "patch_size": config.patch_size,
            "spatial_merge_size": config.merge_size,
            "temporal_patch_size": config.temporal_patch_size,
            "fullatt_block_indexes": list(range(config.vision_layers)),
        },
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(settings)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def vision_settings(config: PolicyConfig) -> VisionSettings:
    """How the policy sees an image."""
    pixels = config.image_side**2
    return VisionSettings(
        patch_size=config.patch_size,
        merge_size=config.merge_size,
        temporal_patch_size=config.temporal_patch_size,
        min_pixels=pixels,
        max_pixels=pixels,
    )


def save_policy(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write model, tokenizer and chat template to an existing folder, as transformers lays them out."""
    with _no_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def load_policy(folder: Path) -> tuple[Any, Any]:
    """Model (fp32, in eval mode) and tokenizer from a folder that ``save_policy`` wrote.

    Raises:
        NotFoundError: there are no weights in the folder.
    """
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

    check_policy(folder)
    with _no_bars():
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    model.eval()  # type: ignore[no-untyped-call]
    return model, PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def check_policy(folder: Path) -> None:
    """Raises NotFoundError, with what to give instead, when ``folder`` lacks a file that ``save_policy`` writes."""
    missing = [name for name in ("config.json", "*.safetensors", "tokenizer.json") if not any(folder.glob(name))]
    if missing:
        inside = folder / "weights"
        remedy = f"name {inside}" if inside.is_dir() else "name a folder that `vista-fast sft` wrote, as RUN/weights"
        raise NotFoundError(f"{folder} holds no weights (no {', no '.join(missing)}); {remedy}")


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without transformers' progress bars, which would tear up the run's own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def parameter_count(model: nn.Module) -> int:
    """Number of parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence to train on: its ids, the loss mask of the same length, and its ordered images."""

    ids: Sequence[int]
    mask: Sequence[int]
    images: Sequence[Patches]


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded sequences ready for ``hidden_states``.

    ids [B, T] int64; mask [B, T] float32, 1 on ids that the loss sees; positions [3, B, T] int64; ``pixels``: one
    float32 tensor [n, patches, C] per distinct grid in ``grids``; ``slots`` [B, T] int64: row of the concatenated
    image features that stands at an image placeholder, -1 elsewhere.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    pixels: tuple[Tensor, ...]
    grids: tuple[Grid, ...]
    slots: Tensor


def collate(samples: Sequence[Sample], *, image_id: int, pad_id: int, merge_size: int = 2) -> Batch:
    """Pad ``samples`` to one Batch. Images of equal hash are encoded once."""
    shape = (len(samples), max(len(sample.ids) for sample in samples))
    ids, mask = torch.full(shape, pad_id, dtype=torch.long), torch.zeros(shape)
    positions, slots = torch.zeros((3, *shape), dtype=torch.long), torch.full(shape, -1, dtype=torch.long)
    by_grid: dict[Grid, dict[str, Patches]] = {}
    for image in (image for sample in samples for image in sample.images):
        by_grid.setdefault(image.grid, {})[image.hash] = image
    first_row: dict[tuple[Grid, str], int] = {}
    rows = 0
    for grid, members in by_grid.items():
        for name, image in members.items():
            first_row[grid, name] = rows
            rows += image.visual_tokens(merge_size)
    for row, sample in enumerate(samples):
        used = len(sample.ids)
        span = lay_out(sample.ids, [image.grid for image in sample.images], image_id, merge_size)
        ids[row, :used] = torch.as_tensor(span.ids)
        mask[row, :used] = torch.as_tensor(sample.mask, dtype=torch.float32)
        positions[:, row, :used] = torch.as_tensor(span.positions)
        if sample.images:
            placed = [
                torch.arange(image.visual_tokens(merge_size)) + first_row[image.grid, image.hash]
                for image in sample.images
            ]
            slots[row, :used][torch.as_tensor(span.is_image)] = torch.cat(placed)
    pixels = tuple(
        torch.stack([torch.tensor(image.values, dtype=torch.float32) for image in members.values()])
        for members in by_grid.values()
    )
    return Batch(ids, mask, positions, pixels, tuple(by_grid), slots)


def image_features(model: Any, pixels: Tensor, grid: Grid) -> Tensor:
    """Visual tokens [n, h*w/merge², text width] of ``n`` images of one grid: pixels [n, h*w, C]."""
    tower = model.model.visual
    count, patches, _ = pixels.shape
    heads = tower.config.num_heads
    cos, sin = _vision_rotary(tower, grid)
    x = F.linear(pixels, tower.patch_embed.proj.weight.flatten(1))
    for block in tower.blocks:
        q, k, v = block.attn.qkv(_rms(x, block.norm1)).view(count, patches, 3, heads, -1).permute(2, 0, 3, 1, 4)
        attended = _attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
        x = x + block.attn.proj(attended.transpose(1, 2).reshape(count, patches, -1))
        x = x + _swiglu(_rms(x, block.norm2), block.mlp)
    merged = _rms(x, tower.merger.ln_q).reshape(count, patches // tower.spatial_merge_unit, -1)
    features: Tensor = tower.merger.mlp(merged)
    return features


def hidden_states(model: Any, batch: Batch) -> Tensor:
    """Final hidden states [B, T, width] of a right-padded Batch (rows of padding hold no meaning)."""
    text = model.model.language_model
    x = text.embed_tokens(batch.ids)
    if batch.pixels:
        groups = zip(batch.pixels, batch.grids, strict=True)
        features = torch.cat([image_features(model, pixels, grid).flatten(0, 1) for pixels, grid in groups])
        placed = features[batch.slots.clamp(min=0)].to(x.dtype)
        x = torch.where((batch.slots >= 0).unsqueeze(-1), placed, x)
    cos, sin = text.rotary_emb(x, batch.positions)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    count, length, _ = x.shape
    heads = text.config.num_attention_heads
    for layer in text.layers:
        attention = layer.self_attn
        y = _rms(x, layer.input_layernorm)
        q, k, v = (
            projection(y).view(count, length, heads, -1).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        attended = _attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v, causal=True)
        x = x + attention.o_proj(attended.transpose(1, 2).reshape(count, length, -1))
        x = x + _swiglu(_rms(x, layer.post_attention_layernorm), layer.mlp)
    return _rms(x, text.norm)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a loss needs of the masked ids of a Batch, flattened in row order: [N] each.

    ``logprobs`` log-probability of the id at the sampling temperature, ``entropy`` of the distribution it was drawn
    from (nats), ``best`` whether the id is the most likely one, ``rows`` the sequence that it belongs to.
    """

    logprobs: Tensor
    entropy: Tensor
    best: Tensor
    rows: Tensor


def score(model: Any, batch: Batch, *, temperature: float = 1.0, forbidden: Sequence[int] = ()) -> Scores:
    """Log-probabilities and entropies of the ids with mask 1, each given all ids before it.

    ``temperature`` and ``forbidden`` (ids that can't be sampled) are those of the sampler, so that both compute the
    same distribution.
    """
    hidden = hidden_states(model, batch)
    wanted = batch.mask[:, 1:] > 0
    logits = F.linear(hidden[:, :-1][wanted], model.lm_head.weight)
    if temperature != 1.0:
        logits = logits / temperature
    if forbidden:
        logits[:, list(forbidden)] = float("-inf")
    distribution = torch.log_softmax(logits, dim=-1)
    chosen = distribution.gather(1, batch.ids[:, 1:][wanted].unsqueeze(1)).squeeze(1)
    entropy = -(distribution.exp() * distribution.clamp(min=torch.finfo(distribution.dtype).min)).sum(-1)
    best = distribution.argmax(-1) == batch.ids[:, 1:][wanted]
    return Scores(chosen, entropy, best, wanted.nonzero()[:, 0])


def _attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """Attention in fp32 whatever autocast says: on CPUs its backward is several times slower in bf16."""
    with torch.autocast(q.device.type, enabled=False):
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=causal)


def _rms(x: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(x.to(norm.weight.dtype), (x.shape[-1],), norm.weight, norm.variance_epsilon)


def _swiglu(x: Tensor, mlp: Any) -> Tensor:
    out: Tensor = mlp.down_proj(F.silu(mlp.gate_proj(x)) * mlp.up_proj(x))
    return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def _vision_rotary(tower: Any, grid: Grid) -> tuple[Tensor, Tensor]:
    """cos and sin [h*w, head] of patches in the order in which Qwen2-VL lays them out (merge blocks row by row)."""
    _, height, width = grid
    merge = tower.spatial_merge_size
    blocks = torch.arange(height * width).view(height // merge, merge, width // merge, merge).transpose(1, 2).flatten()
    positions = torch.stack([blocks // width, blocks % width], dim=-1)
    cos, sin = tower.rotary_pos_emb(tower.patch_embed.proj.weight, positions)
    return cos, sin
