"""Masks: the Triton kernel against its torch reference, and the reference against torch's own resize."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_fast.kernels import reference
from vista_fast.kernels.calls import MaskResize, RaggedMasks
from vista_fast.kernels.mask_resize import Blocks, mask_resize

from vista_fast.errors import InvalidArgumentError


def scores_of(count: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count * 7919 + height * 101 + width)
    return torch.randn(count, height, width, generator=generator).to(dtype)


def assert_equal_off_the_threshold(got: RaggedMasks, want: RaggedMasks, call: MaskResize) -> None:
    """Where the scores lie within float32's error of the threshold, either answer is right."""
    nudged = [MaskResize(call.scores, call.sizes, call.threshold + step) for step in (-1e-5, 1e-5)]
    sure = reference.mask_resize(nudged[0]).values == reference.mask_resize(nudged[1]).values
    assert got.values.dtype == want.values.dtype == torch.bool
    assert torch.equal(got.values[sure], want.values[sure])
    assert sure.float().mean() > 0.9


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    sizes=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=3),
    threshold=st.sampled_from([0.0, 0.3, -0.7]),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_kernel_equals_reference(shape: tuple[int, int], sizes: list, threshold: float, dtype: torch.dtype) -> None:
    call = MaskResize(scores_of(len(sizes), *shape, dtype), torch.tensor(sizes), threshold)
    assert_equal_off_the_threshold(mask_resize(call), reference.mask_resize(call), call)


def test_any_strides_and_blocks() -> None:
    scores = scores_of(3, 50, 90).transpose(1, 2)[::2, ::3, 5:]
    call = MaskResize(scores, torch.tensor([[64, 80], [7, 3]]))
    assert not call.scores.is_contiguous()
    assert_equal_off_the_threshold(mask_resize(call, blocks=Blocks(16, 16, 16, 16)), reference.mask_resize(call), call)


def test_a_large_scale_factor_each_way() -> None:
    call = MaskResize(scores_of(2, 300, 2), torch.tensor([[1, 200], [2, 1]]))
    assert_equal_off_the_threshold(mask_resize(call), reference.mask_resize(call), call)


@pytest.mark.parametrize("size", [(61, 100), (9, 13)])
def test_reference_equals_torch_interpolate(size: tuple[int, int]) -> None:
    call = MaskResize(scores_of(1, 32, 40), torch.tensor([size]))
    antialias = size[0] < 32
    want = torch.nn.functional.interpolate(call.scores[None], size, mode="bilinear", antialias=antialias)[0]
    got = reference.mask_resize(call).mask(0)
    sure = want.abs() > 1e-5
    assert torch.equal(got[sure[0]], (want > 0)[sure])


def test_no_masks() -> None:
    call = MaskResize(torch.empty(0, 4, 4), torch.empty((0, 2), dtype=torch.long))
    assert mask_resize(call).values.numel() == reference.mask_resize(call).values.numel() == 0


@pytest.mark.parametrize(
    ("scores", "sizes", "message"),
    [
        (torch.zeros(1, 4, 4, dtype=torch.uint8), torch.tensor([[4, 4]]), "floats"),
        (torch.zeros(4, 4), torch.tensor([[4, 4]]), "floats"),
        (torch.zeros(1, 4, 4), torch.tensor([[4, 0]]), "at least 1"),
        (torch.zeros(2, 4, 4), torch.tensor([[4, 4]]), r"\[2, 2\]"),
        (torch.zeros(1, 4, 1 << 15), torch.tensor([[4, 1 << 15]]), "too large"),
    ],
)
def test_wrong_calls_say_what_is_wrong(scores: torch.Tensor, sizes: torch.Tensor, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        MaskResize(scores, sizes)
