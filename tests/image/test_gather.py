"""gather: rows into the one tensor of a batch, copied once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError


def parts(*rows: int) -> list[Any]:
    random = np.random.default_rng(1)
    return [random.normal(0, 3, (count, 7, 2)).astype(np.float32) for count in rows]


@pytest.mark.parametrize("rows", [(1,), (3, 1, 4), (0, 2), (5, 0), (1000, 1)])
def test_it_is_concatenation_into_memory_of_its_own(rows: tuple[int, ...]) -> None:
    arrays = parts(*rows)
    gathered = vf.gather(arrays)
    assert np.array_equal(gathered, np.concatenate(arrays))
    assert gathered.flags.writeable
    assert not any(np.shares_memory(gathered, array) for array in arrays)


def test_it_writes_into_what_is_given() -> None:
    arrays = parts(3, 2)
    out = np.full((5, 7, 2), np.nan, np.float32)
    assert vf.gather(arrays, out=out) is out
    assert np.array_equal(out, np.concatenate(arrays))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_writes_into_a_torch_tensor_and_rounds_as_torch_does(dtype: str) -> None:
    torch = pytest.importorskip("torch")

    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.00390625, 1.01171875, 3.4e38, 1e-45], np.float32)
    arrays = [*parts(4, 1), np.resize(special, (2, 7, 2))]
    batch = torch.zeros((9, 7, 2), dtype=getattr(torch, dtype))
    assert vf.gather(arrays, out=batch[1:8]).data_ptr() == batch[1].data_ptr()
    expected = torch.from_numpy(np.concatenate(arrays)).to(batch.dtype)
    assert torch.equal(batch[1:8].nan_to_num(7), expected.nan_to_num(7))
    assert torch.equal(batch[1:8].isnan(), expected.isnan())
    assert not batch[0].any()
    assert not batch[8].any()


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_what_is_empty_has_no_gaps(shape: tuple[int, int]) -> None:
    out = np.zeros(shape, np.float32)
    assert vf.gather([np.zeros(shape, np.float32)], out=out) is out


def test_results_of_preprocess_are_gathered() -> None:
    with vf.Engine(threads=1) as engine:
        images = [vf.Image.from_array(np.full((56 + 28 * x, 84, 3), 40 * x, np.uint8)) for x in range(3)]
        results = [engine.call("image.preprocess", image)["pixel_values"] for image in images]
        assert np.array_equal(vf.gather(results), np.concatenate(results))


@pytest.mark.parametrize(
    ("arrays", "out", "message"),
    [
        ([], None, "nothing to gather"),
        ([np.float32(1)], None, "scalar"),
        ([np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)], None, r"\[2, 3\] and \[2, 4\]"),
        ([np.zeros((2, 3), np.float32)], np.zeros((3, 3), np.float32), r"shape \[3, 3\].*give \[2, 3\]"),
        ([np.zeros((2, 3), np.float32)], np.zeros((2, 3), np.float64), "64 bits"),
        ([np.zeros((2, 3), np.float32)], np.zeros((2, 6), np.float32)[:, ::2], "without gaps"),
    ],
)
def test_what_does_not_fit_is_refused(arrays: list[Any], out: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        vf.gather(arrays, out=out)


def test_read_only_memory_is_refused() -> None:
    out = np.zeros((2, 3), np.float32)
    out.setflags(write=False)
    with pytest.raises((BufferError, InvalidArgumentError)):
        vf.gather([np.zeros((2, 3), np.float32)], out=out)


def test_new_rows_are_memory_of_their_own() -> None:
    from vista_fast._core import new_rows

    one, other = new_rows((3, 7, 2)), new_rows((3, 7, 2))
    assert (one.dtype, one.shape, one.flags.writeable) == (np.float32, (3, 7, 2), True)
    assert not np.shares_memory(one, other)
    assert vf.gather(parts(1, 2), out=one) is one
    assert new_rows((0, 4)).shape == (0, 4)
