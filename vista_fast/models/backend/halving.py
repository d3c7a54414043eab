"""When memory runs out: the batch in halves, until one item alone does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from vista_fast.errors import ResourceExhaustedError
from vista_fast.models.backend.model import Array, TensorSpec

Run: TypeAlias = Callable[[dict[str, Array]], dict[str, Array]]


def run_halving(
    run: Run,
    batch: dict[str, Array],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    out_of_memory: Callable[[Exception], bool],
) -> dict[str, Array]:
    """All outputs of ``run(batch)``; where that runs out of memory, those of its halves, put together again.

    The batch is split along the first dimension of the inputs whose first dimension may vary.

    Args:
        out_of_memory: whether an exception of ``run`` says so; others pass through.

    Raises:
        ResourceExhaustedError: a single item does not fit, or the batch can't be split or put together.
    """
    try:
        return run(batch)
    except Exception as error:
        if not out_of_memory(error):
            raise
        reason = str(error)
    # Outside the handler, whose traceback would keep the failed run's memory.
    halves = _halves(batch, inputs)
    if halves is None or any(spec.shape[:1] != (None,) for spec in outputs):
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in batch.items())
        raise ResourceExhaustedError(
            f"a network ran out of memory on {shapes}, which can't be split further: {reason}. Use smaller inputs, or "
            "free memory of the device"
        )
    parts = [run_halving(run, half, inputs, outputs, out_of_memory) for half in halves]
    for spec in outputs:
        if len({part[spec.name].shape[1:] for part in parts}) > 1:
            raise ResourceExhaustedError(
                f"a network ran out of memory on a batch, and {spec.name} of its halves differ in shape: {reason}. Use "
                "smaller batches, or free memory of the device"
            )
    return {spec.name: np.concatenate([part[spec.name] for part in parts]) for spec in outputs}


def _halves(batch: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> list[dict[str, Array]] | None:
    """The first and second half of the batch's items, None where there is one item or no telling how many."""
    split = {spec.name for spec in inputs if spec.shape[:1] == (None,)}
    counts = {batch[name].shape[0] for name in split}
    if len(counts) != 1 or max(counts) < 2:
        return None
    middle = max(counts) // 2
    return [
        {name: array[part] if name in split else array for name, array in batch.items()}
        for part in (slice(None, middle), slice(middle, None))
    ]
