"""A micro policy, its tokenizer, and demonstrations over noise: enough for every rule of training, in milliseconds."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from vista_fast.rollout import ChatTemplate
from vista_fast.rollout.generator import Patches
from vista_fast.train.config import PolicyConfig
from vista_fast.train.policy import build_policy
from vista_fast.train.sft import Corpus
from vista_fast.train.teacher import Demonstration, Exchange
from vista_fast.train.tokenizer import train_tokenizer

MICRO = PolicyConfig(
    text_width=64,
    text_layers=2,
    text_heads=2,
    text_feed_forward=96,
    vision_width=32,
    vision_layers=1,
    vision_heads=2,
    vision_feed_forward=48,
    image_side=56,
    vocabulary=1500,
)


def noise(name: str, grid: tuple[int, int, int] = (1, 4, 4)) -> Patches:
    """Patches of an image that never was."""
    values = np.random.default_rng(zlib.crc32(name.encode())).normal(size=(grid[1] * grid[2], 1176))
    return Patches(name, values.astype(np.float32), grid)


def micro_corpus() -> Corpus:
    """Two descriptions, two guesses, two plays with a zoomed image."""
    call = '<tool_call>{"name": "zoom", "arguments": {"bbox_2d": [0, 0, 28, 28]}}</tool_call>'
    descriptions, guesses, plays = [], [], []
    for name in ("a", "b"):
        image = noise(name)
        told = Exchange(f"<think>{name} left</think><answer>none</answer>")
        descriptions.append(Demonstration("x", "Tools: none.", "Describe.", (image,), (told,)))
        told = Exchange(f"<think>{name}</think><answer>12</answer>")
        guesses.append(Demonstration("x", "Tools: none.", "Which number?", (image,), (told,)))
        turns = (
            Exchange(
                f"<think>{name} left</think>{call}", "Image 2 is the zoomed region.", (noise(name + "2", (1, 6, 4)),)
            ),
            Exchange("<think>12</think><answer>12</answer>"),
        )
        plays.append(Demonstration("x", "Tools: zoom, ocr.", "Which number?", (image,), turns))
    return Corpus(tuple(descriptions), tuple(guesses), tuple(plays))


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return micro_corpus()


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus) -> Any:
    return train_tokenizer(corpus.texts, vocabulary=MICRO.vocabulary)


@pytest.fixture(scope="session")
def template(tokenizer: Any) -> ChatTemplate:
    return ChatTemplate(tokenizer)


@pytest.fixture
def model(tokenizer: Any) -> Any:
    return build_policy(MICRO, tokenizer, seed=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"
