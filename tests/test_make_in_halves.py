"""What is made in halves when memory runs out."""

from __future__ import annotations

import pytest

from vista_fast.errors import ResourceExhaustedError
from vista_fast.out_of_memory import is_out_of_memory, make_in_halves


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_halves_are_made_until_they_fit(error: Exception) -> None:
    asked = []

    def make(items: list[int]) -> list[int]:
        asked.append(len(items))
        if len(items) > 2:
            raise error
        return [item * item for item in items]

    assert make_in_halves(make, range(7)) == [0, 1, 4, 9, 16, 25, 36]
    assert asked == [7, 3, 1, 2, 4, 2, 2]


def test_a_single_one_that_does_not_fit_is_a_typed_error() -> None:
    def make(items: list[int]) -> list[int]:
        if 3 in items:
            raise RuntimeError("[cuda] cudaErrorMemoryAllocation")
        return list(items)

    assert make_in_halves(make, [1, 2]) == [1, 2]
    with pytest.raises(ResourceExhaustedError, match=r"single image.*cudaErrorMemoryAllocation.*Use smaller images"):
        make_in_halves(make, [1, 2, 3, 4])


def test_other_errors_pass() -> None:
    for error in (
        ValueError("out of memory"),
        RuntimeError("an illegal memory access"),
        ResourceExhaustedError("full"),
    ):

        def make(items: list[int], error: Exception = error) -> list[int]:
            raise error

        with pytest.raises(type(error)) as raised:
            make_in_halves(make, [1, 2])
        assert raised.value is error
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
