"""What libraries say when memory runs out, and what is done then: halves, until one item alone does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from vista_fast.errors import ResourceExhaustedError

_NO_MEMORY = (
    "out of memory",
    "outofmemory",
    "memoryallocation",
    "could not be allocated",
    "can't allocate memory",
    "failed to allocate memory",
    "alloc_failed",
    "bfcarena",
)
"""What the libraries say of it, in lower case; the last two are of cuBLAS and cuDNN, and of ONNX Runtime."""

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def says_no_memory(reason: str) -> bool:
    """Whether a message tells of too little memory; not that of an illegal access to memory."""
    told = reason.lower()
    return any(words in told for words in _NO_MEMORY)


def is_out_of_memory(error: Exception) -> bool:
    """Whether it was raised for too little memory. Torch's and CUDA's allocators, cuBLAS, cuDNN, Triton and DALI raise
    a RuntimeError that says so."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and says_no_memory(str(error)))


def make_in_halves(make: Callable[[Sequence[_Item]], Sequence[_Made]], items: Sequence[_Item]) -> list[_Made]:
    """``make(items)``, one of each; where that runs out of memory, what it makes of each half.

    Raises:
        ResourceExhaustedError: a single item does not fit.
    """
    try:
        return list(make(items))
    except Exception as error:
        if isinstance(error, ResourceExhaustedError) or not is_out_of_memory(error):
            raise
        reason = str(error)
    # Outside the handler, whose traceback would keep what the failed call made.
    if len(items) < 2:
        raise ResourceExhaustedError(
            f"the device ran out of memory on a single image: {reason}. Use smaller images, or free memory of the "
            "device"
        )
    middle = len(items) // 2
    return make_in_halves(make, items[:middle]) + make_in_halves(make, items[middle:])
