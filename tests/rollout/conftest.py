"""A random model of the true class, with a tokenizer of its own."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vista_fast.rollout import Patches  # noqa: E402

SPECIAL = [
    "<|pad|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Byte-level, so that any text has ids; a few merges make ids whose text runs past a tag's end."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *alphabet])}
    for merged in (">Ċ", "ab", "abab"):
        vocabulary[merged] = len(vocabulary)
    merges = [(">", "Ċ"), ("a", "b"), ("ab", "ab")]
    fast = Tokenizer(models.BPE(vocabulary, merges))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="<|pad|>", eos_token="<|im_end|>", chat_template=CHAT_TEMPLATE
    )


@pytest.fixture(scope="session")
def model(tokenizer: Any) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]},
        "max_position_embeddings": 1024,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 4,
        "out_hidden_size": 48,
        "fullatt_block_indexes": [1],
        "window_size": 16,
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.08)
    return model


@pytest.fixture
def patches() -> Any:
    """Random patches of a grid: equal seeds give equal images."""

    def make(seed: int, rows: int = 4, columns: int = 6) -> Patches:
        values = np.random.default_rng(seed).standard_normal((rows * columns, 3 * 2 * 4 * 4)).astype(np.float32)
        return Patches(hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest(), values, (1, rows, columns))

    return make


class Reference:
    """transformers' own forward over a whole context, one row at a time, positions by its own get_rope_index."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @torch.no_grad()
    def logprobs(self, ids: list[int], images: list[Patches], temperature: float = 1.0, forbidden: Any = ()) -> Any:
        """Log-probabilities [len(ids), vocabulary] of what follows each id."""
        image_id = self._model.config.image_token_id
        inputs = torch.tensor([ids])
        extra = {}
        if images:
            extra["pixel_values"] = torch.from_numpy(np.concatenate([image.values for image in images]))
            extra["image_grid_thw"] = torch.tensor([image.grid for image in images])
            extra["mm_token_type_ids"] = (inputs == image_id).int()
        self._model.model.rope_deltas = None
        logits = self._model(input_ids=inputs, **extra).logits[0].float() / temperature
        logits[:, list(forbidden)] = -torch.inf
        return torch.log_softmax(logits, -1)

    def greedy(self, ids: list[int], images: list[Patches], count: int) -> list[int]:
        """The most likely continuation."""
        ids = list(ids)
        for _ in range(count):
            ids.append(int(self.logprobs(ids, images)[-1].argmax()))
        return ids[-count:]


@pytest.fixture
def reference(model: Any) -> Reference:
    return Reference(model)
