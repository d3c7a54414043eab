"""A small Grounding DINO of transformers' own classes with random weights, to test and to measure with."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

_WORDS = "a the on red blue big dog car tree man bench boat temple roof flower leaf person cat sky bird and of in"
_FIXED = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
"""Where BERT's vocabulary has them, and the model counts on it."""


def save_small_model(folder: Path, *, seed: int = 0, shortest_edge: int = 128, longest_edge: int = 192) -> Path:
    """Writes the model, its tokenizer and its image settings into a folder, and returns that.

    The classes, the layers and the feature levels are the true ones; the widths and depths are small. Images are
    resized to ``shortest_edge``, or their longer side to ``longest_edge``, in pixels.
    """
    import torch
    from transformers import GroundingDinoForObjectDetection

    torch.manual_seed(seed)
    model: Any = GroundingDinoForObjectDetection(_config())
    with torch.no_grad():
        _spread_scores(model)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _save_tokenizer(folder)
    settings = {
        "image_processor_type": "GroundingDinoImageProcessor",
        "processor_class": "GroundingDinoProcessor",
        "size": {"shortest_edge": shortest_edge, "longest_edge": longest_edge},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _config() -> Any:
    from transformers import BertConfig, GroundingDinoConfig, SwinConfig

    shape: dict[str, Any] = {"depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "out_indices": [2, 3, 4]}
    return GroundingDinoConfig(
        backbone_config=SwinConfig(embed_dim=24, window_size=7, **shape),
        text_config=BertConfig(
            vocab_size=1100, hidden_size=48, num_hidden_layers=1, num_attention_heads=4, intermediate_size=96
        ),
        num_queries=40,
        encoder_layers=2,
        encoder_ffn_dim=128,
        encoder_attention_heads=4,
        decoder_layers=2,
        decoder_ffn_dim=128,
        decoder_attention_heads=4,
        d_model=64,
    )


def _spread_scores(model: Any) -> None:
    """Widens the random weights, so that boxes and scores differ and thresholds part them."""
    for name, weight in model.named_parameters():
        if name.endswith(("vision_param", "text_param")):
            weight.fill_(0.2)  # else words change the boxes in the sixth digit only
        elif weight.ndim > 1 and not weight.any():
            # Else places would not matter, attention would see all alike, and boxes would stay as proposed.
            weight.normal_(std=0.1)
        elif weight.ndim > 1 and "embed" not in name:
            weight.mul_(2)


def _save_tokenizer(folder: Path) -> None:
    from transformers import BertTokenizer

    words = [
        *_WORDS.split(),
        *"abcdefghijklmnopqrstuvwxyz",
        *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    ]
    words = list(dict.fromkeys(words))
    vocabulary = [f"[unused{index}]" for index in range(1100)]
    for index, word in _FIXED.items():
        vocabulary[index] = word
    for index, word in enumerate(words):
        vocabulary[200 + index] = word
    path = folder / "vocab.txt"
    path.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    build: Any = BertTokenizer
    parameters = inspect.signature(BertTokenizer.__init__).parameters
    # Before version 5 of transformers the argument was named otherwise.
    build(**{"vocab" if "vocab" in parameters else "vocab_file": str(path)}).save_pretrained(folder)
