"""The weights that GRPO starts from by default are there, small, and play."""

from __future__ import annotations

from vista_fast.train.policy import load_policy, parameter_count
from vista_fast.train.run import SHIPPED_WEIGHTS


def test_shipped_weights_load_and_stay_small():
    model, tokenizer = load_policy(SHIPPED_WEIGHTS)
    assert parameter_count(model) <= 10_000_000
    assert sum(path.stat().st_size for path in SHIPPED_WEIGHTS.iterdir()) <= 25_000_000
    for tag in ("<think>", "</think>", "<tool_call>", "</tool_call>", "<answer>", "</answer>"):
        assert len(tokenizer.encode(tag, add_special_tokens=False)) == 1
