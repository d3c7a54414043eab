"""Results as a batch takes them: written by ``gather`` into a tensor that is there already."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import vista_fast as vf

DTYPES = ["float32", "bfloat16"]


def assert_gathers_to(
    values: npt.NDArray[np.float32], expected: npt.NDArray[np.floating[Any]], tolerance: float, dtype: str
) -> None:
    """In the tensor of that dtype, which stays where it is, each number is ``expected`` within ``tolerance``, rounded.

    Rounding keeps the order of numbers, so that what lies between two numbers is between the two rounded ones.
    """
    import torch

    kind = getattr(torch, dtype)
    out = torch.full(expected.shape, float("nan"), dtype=kind)
    place = out.data_ptr()
    assert vf.gather([values], out=out) is out
    assert out.data_ptr() == place
    assert torch.equal(out, torch.from_numpy(np.array(values)).to(kind))
    theirs = torch.from_numpy(np.asarray(expected, np.float64))
    assert bool(((theirs - tolerance).to(kind) <= out).all())
    assert bool((out <= (theirs + tolerance).to(kind)).all())
