"""What the continuous decoder asks of a model, and how the Qwen-VL classes of transformers answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from vista_fast.devices import DeviceTensor
from vista_fast.errors import InvalidArgumentError
from vista_fast.rollout.generator import Patches
from vista_fast.rollout.kv import KVArena
from vista_fast.rollout.positions import Span, lay_out

if TYPE_CHECKING:
    from torch import Tensor


class DecodablePolicy(Protocol):
    """A model whose rows can be advanced by any number of ids, over keys and values kept in a KVArena."""

    vocabulary: int
    device: torch.device

    def arena(self, rows: int) -> KVArena:
        """An empty arena of the model's shape."""
        ...

    def lay_out(self, ids: npt.NDArray[np.int64], grids: Sequence[tuple[int, int, int]], start: int) -> Span:
        """Positions of ids appended to a context whose next position is ``start``."""
        ...

    def encode(self, images: Sequence[Patches]) -> list[Tensor]:
        """Vision features of each image: [visual tokens, width]."""
        ...

    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings [..., width] of ids [...]."""
        ...

    def forward(
        self, embeddings: Tensor, positions: Tensor, arena: KVArena, first_row: int, past: Tensor, last: Tensor
    ) -> Tensor:
        """Advance rows ``first_row`` onward and return the logits [rows, vocabulary] after each row's last id.

        Args:
            embeddings: [rows, span, width]; rows shorter than the span are padded on the right.
            positions: int64 [3, rows, span].
            past: int64 [rows], how many ids each row holds; its span is written behind them.
            last: int64 [rows], the index within the span of each row's last id.
        """
        ...

    def refresh(self) -> None:
        """Take over the model's present weights."""
        ...


_MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl")


class QwenVL:
    """The general path: transformers' own text model, over a KVArena in the place of its cache.

    Args:
        model: ``Qwen2_5_VLForConditionalGeneration`` or ``Qwen2VLForConditionalGeneration``, any dtype and device.

    Raises:
        InvalidArgumentError: the model uses sliding-window attention, or is of another class.
    """

    def __init__(self, model: Any) -> None:
        inner: Any = getattr(model, "model", model)
        kind = getattr(getattr(model, "config", None), "model_type", None)
        if kind not in _MODEL_TYPES or not hasattr(inner, "language_model") or not hasattr(inner, "visual"):
            raise InvalidArgumentError(
                f"{type(model).__name__} (model_type {kind!r}) is not a Qwen2-VL or Qwen2.5-VL model; pass policy=, an "
                "object with the methods of vista_fast.rollout.policy.DecodablePolicy"
            )
        text = model.config.text_config
        if any(kind != "full_attention" for kind in text.layer_types):
            raise InvalidArgumentError(f"layer_types is {text.layer_types}; set use_sliding_window=False")
        self._model = model
        self._text = inner.language_model
        self._text_config = text
        self._image_id = int(model.config.image_token_id)
        self._merge_size = int(model.config.vision_config.spatial_merge_size)
        self.vocabulary = int(text.vocab_size)
        self.device: torch.device = model.device
        self._heads = int(text.num_attention_heads)
        self._kv_heads = int(text.num_key_value_heads)
        self._head_dim = int(text.hidden_size) // self._heads

    def arena(self, rows: int) -> KVArena:
        layers = int(self._text_config.num_hidden_layers)
        return KVArena(layers, self._kv_heads, self._head_dim, rows, self._model.dtype, self.device)

    def lay_out(self, ids: npt.NDArray[np.int64], grids: Sequence[tuple[int, int, int]], start: int) -> Span:
        return lay_out(ids, grids, self._image_id, self._merge_size, start)

    def encode(self, images: Sequence[Patches]) -> list[Tensor]:
        pixels = _pixels(images, self.device)
        grids = torch.tensor([image.grid for image in images], dtype=torch.int64, device=self.device)
        return list(self._model.model.get_image_features(pixels, grids).pooler_output)

    def embed(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self._text.embed_tokens(ids.to(self.device))
        return embeddings

    def forward(
        self, embeddings: Tensor, positions: Tensor, arena: KVArena, first_row: int, past: Tensor, last: Tensor
    ) -> Tensor:
        step = _Step(arena, first_row, past, embeddings.shape[1], embeddings.dtype)
        hidden = self._text(
            inputs_embeds=embeddings,
            position_ids=positions,
            attention_mask={"full_attention": step.mask},
            past_key_values=_as_cache(step),
            use_cache=True,
        ).last_hidden_state
        logits: Tensor = self._model.lm_head(hidden[torch.arange(len(last), device=self.device), last])
        return logits

    def refresh(self) -> None:
        """Nothing to do: the model's own parameters are read at every step."""


class FastQwenVL(QwenVL):
    """The same text model written as a short sequence of fused operations, for models whose steps cost little.

    A tiny model's step is dominated by Python and by the number of operations: query, key and value projections
    are one product here, so are gate and up, and the rotary tables are looked up rather than computed.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        if self._text_config.hidden_act != "silu":
            raise InvalidArgumentError(f"hidden_act is {self._text_config.hidden_act!r}; use QwenVL, the general path")
        self._eps = float(self._text_config.rms_norm_eps)
        sections = self._text.rotary_emb.mrope_section
        bounds = np.cumsum([0, *sections])
        self._sections = [slice(int(a), int(b)) for a, b in pairwise(bounds)]
        self._cos = self._sin = torch.empty(0, self._head_dim // 2, device=self.device)
        self._layers: list[_LayerWeights] = []
        self.refresh()

    def refresh(self) -> None:
        with torch.inference_mode():
            self._layers = [_LayerWeights(layer) for layer in self._text.layers]

    def forward(
        self, embeddings: Tensor, positions: Tensor, arena: KVArena, first_row: int, past: Tensor, last: Tensor
    ) -> Tensor:
        rows, span, width = embeddings.shape
        step = _Step(arena, first_row, past, span, embeddings.dtype)
        cos, sin = self._rotary(positions, embeddings.dtype)
        grouped = self._heads != self._kv_heads
        rotated = self._heads + self._kv_heads
        hidden = embeddings
        for index, weights in enumerate(self._layers):
            normed = F.rms_norm(hidden, (width,), weights.norm1, self._eps)
            qkv = F.linear(normed, weights.qkv, weights.qkv_bias).view(rows, span, -1, self._head_dim)
            qk = qkv[:, :, :rotated]
            qk = qk * cos + qk.roll(self._head_dim // 2, -1) * sin
            keys, values = step.write(index, qk[:, :, self._heads :], qkv[:, :, rotated:])
            attended = F.scaled_dot_product_attention(
                qk[:, :, : self._heads].transpose(1, 2), keys, values, attn_mask=step.mask, enable_gqa=grouped
            )
            hidden = hidden + F.linear(attended.transpose(1, 2).reshape(rows, span, -1), weights.out)
            normed = F.rms_norm(hidden, (width,), weights.norm2, self._eps)
            gate, up = F.linear(normed, weights.gate_up).chunk(2, dim=-1)
            hidden = hidden + F.linear(F.silu(gate) * up, weights.down)
        hidden = hidden[:, 0] if span == 1 else hidden[torch.arange(rows, device=self.device), last]
        return F.linear(F.rms_norm(hidden, (width,), self._text.norm.weight, self._eps), self._model.lm_head.weight)

    def _rotary(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines, and sines signed for a rotation by halves: [rows, span, 1, head_dim]."""
        highest = int(positions.max())
        if highest >= len(self._cos):
            rotary = self._text.rotary_emb
            count = 2 * highest + 256
            angles = torch.arange(count, device=self.device).float()[:, None] * rotary.inv_freq.float()
            self._cos = angles.cos() * rotary.attention_scaling
            self._sin = angles.sin() * rotary.attention_scaling
        sections = list(zip(positions, self._sections, strict=True))
        cos = torch.cat([self._cos[axis][..., section] for axis, section in sections], dim=-1)
        sin = torch.cat([self._sin[axis][..., section] for axis, section in sections], dim=-1)
        cos = torch.cat([cos, cos], dim=-1).unsqueeze(2)
        sin = torch.cat([-sin, sin], dim=-1).unsqueeze(2)
        return cos.to(dtype), sin.to(dtype)


class _LayerWeights:
    """One layer's weights, fused where they multiply the same input. Copies: refreshed when the weights change."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.qkv = torch.cat([p.weight for p in projections])
        self.qkv_bias = torch.cat([p.bias for p in projections])
        self.out = attention.o_proj.weight.detach()
        self.gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        self.down = mlp.down_proj.weight.detach()
        self.norm1 = layer.input_layernorm.weight.detach()
        self.norm2 = layer.post_attention_layernorm.weight.detach()


class _Step:
    """One forward's view of the arena: where each row writes, and what each of its ids may see."""

    def __init__(self, arena: KVArena, first_row: int, past: Tensor, span: int, dtype: torch.dtype) -> None:
        rows = len(past)
        self._arena = arena
        self._rows = slice(first_row, first_row + rows)
        self._row_index = torch.arange(first_row, first_row + rows, device=past.device)
        self._length = int(past.max()) + span
        if span == 1:
            ends = past[:, None]
        else:
            ends = past[:, None] + torch.arange(span, device=past.device)
            self._row_index = self._row_index[:, None]
        self._slots = past if span == 1 else ends
        columns = torch.arange(self._length, device=past.device)
        # An id sees its row up to itself. Padding behind a short row sees that row too, so no softmax is over nothing.
        hidden = columns > ends[..., None]
        self.mask = torch.zeros(hidden.shape, dtype=dtype, device=past.device).masked_fill_(hidden, -torch.inf)[:, None]

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put keys and values [rows, span, heads, head_dim] behind each row; returns all that a row's ids may see."""
        kept_keys, kept_values = self._arena.layer(layer)
        if keys.shape[1] == 1:
            keys, values = keys[:, 0], values[:, 0]
        kept_keys[self._row_index, :, self._slots] = keys
        kept_values[self._row_index, :, self._slots] = values
        return kept_keys[self._rows, :, : self._length], kept_values[self._rows, :, : self._length]


def _as_cache(step: _Step) -> Any:
    """The step as a transformers Cache."""
    from transformers.cache_utils import Cache

    class RowCache(Cache):
        def __init__(self) -> None:
            super().__init__(layers=[])

        def update(
            self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
        ) -> tuple[Tensor, Tensor]:
            return step.write(layer_idx, key_states.transpose(1, 2), value_states.transpose(1, 2))

    return RowCache()


def _pixels(images: Sequence[Patches], device: torch.device) -> Tensor:
    """The patches of all images on the device, with one copy of those that lie on the host when all do."""
    rows = [image.values for image in images]
    on_host = [values for values in rows if not isinstance(values, DeviceTensor)]
    if len(on_host) == len(rows):
        return torch.from_numpy(np.concatenate(on_host)).to(device)
    tensors = [
        values.tensor() if isinstance(values, DeviceTensor) else torch.from_numpy(values.copy()) for values in rows
    ]
    return torch.cat([values.to(device) for values in tensors])
