"""Model: a loaded network with named inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.out_of_memory import is_out_of_memory

Precision: TypeAlias = Literal["f32", "f16", "bf16", "mixed"]
"""Arithmetic inside a network. f32 is exact to rounding; bf16 is faster on CPUs that compute in it, f16 and bf16 on
GPUs; both move the outputs. mixed is bf16 with the first layers in f32, which moves the outputs less, where one tensor
passes from them to the others; in our own kernels, with the first layer. It is OpenVINO's alone."""

Array: TypeAlias = npt.NDArray[Any]
Dimensions: TypeAlias = tuple[int | None, ...]
"""Sizes of a tensor's dimensions; None for one that may vary from batch to batch."""
Tensors: TypeAlias = Mapping[str, Dimensions]
"""Tensors of float32 by name."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a network.

    Attributes:
        name: as the file has it.
        shape: of it.
        dtype: of its elements.
    """

    name: str
    shape: Dimensions
    dtype: np.dtype[Any]


class Model(Protocol):
    """A loaded network. Safe to call from several threads; each result owns its memory."""

    @property
    def inputs(self) -> Sequence[TensorSpec]: ...

    @property
    def outputs(self) -> Sequence[TensorSpec]: ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings that the model file carries beside its weights."""
        ...

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        """All outputs by name, for one array per input. Arrays need not be contiguous.

        Raises:
            InvalidArgumentError: names, shapes or dtypes are not those of the inputs.
        """
        ...


def run_single(model: Model, batch: Array) -> Array:
    """Runs a network of one input for its first output."""
    (given,) = model.inputs
    return model.run({given.name: batch})[model.outputs[0].name]


def check_batch(inputs: Sequence[TensorSpec], batch: Mapping[str, Array]) -> list[Array]:
    """The arrays in the inputs' order, contiguous. Raises InvalidArgumentError for what does not fit them."""
    check_names(inputs, batch)
    for spec in inputs:
        check_tensor(spec, batch[spec.name].shape, batch[spec.name].dtype)
    return [np.asarray(batch[spec.name], order="C") for spec in inputs]


def check_names(inputs: Sequence[TensorSpec], batch: Mapping[str, Any]) -> None:
    """Raises InvalidArgumentError when the batch is not one tensor per input."""
    if set(batch) != {spec.name for spec in inputs}:
        raise InvalidArgumentError(
            f"the network takes {', '.join(spec.name for spec in inputs)}; got {', '.join(batch) or 'nothing'}"
        )


def check_tensor(spec: TensorSpec, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Raises InvalidArgumentError when a tensor of that shape and dtype does not fit an input."""
    fits = len(shape) == len(spec.shape) and all(
        wanted is None or wanted == size for wanted, size in zip(spec.shape, shape, strict=True)
    )
    if not fits or dtype != spec.dtype:
        raise InvalidArgumentError(f"input {spec.name} is {dtype} {list(shape)}; the network takes {shown(spec)}")


def shown(spec: TensorSpec) -> str:
    """The dtype and shape of an input or output, for messages."""
    return f"{spec.dtype} {_listed(spec.shape)}"


def _listed(shape: Dimensions) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def check_signature(model: Model, path: Path, inputs: Tensors, outputs: Tensors) -> None:
    """Checks that a network takes these tensors and no more, and gives those.

    Raises:
        InvalidArgumentError: it is another network than the one that is wanted, or takes one size where all are.
    """
    for kind, wanted, specs in (("inputs", inputs, model.inputs), ("outputs", outputs, model.outputs)):
        found = {spec.name: spec for spec in specs}
        if any(
            name not in found or not _agrees(found[name], shape, kind == "inputs") for name, shape in wanted.items()
        ) or (kind == "inputs" and len(found) > len(wanted)):
            listed = ", ".join(f"{spec.name} {shown(spec)}" for spec in specs) or "nothing"
            needed = ", ".join(f"{name} float32 {_listed(shape)}" for name, shape in wanted.items())
            raise InvalidArgumentError(
                f"{path} has the {kind} {listed}, wanted {needed}; give the file of the right network"
            )


def _agrees(spec: TensorSpec, wanted: Dimensions, varies: bool) -> bool:
    """``varies``: whether a size that is None in ``wanted`` must be free."""
    return (
        spec.dtype == np.float32
        and len(spec.shape) == len(wanted)
        and all(
            has is None or has == size or (size is None and not varies)
            for has, size in zip(spec.shape, wanted, strict=True)
        )
    )


class NotLoadedError(InvalidArgumentError):
    """A library does not take a file as a network: it is damaged, or another one."""


def not_loaded(path: Path, reason: Exception | str) -> InvalidArgumentError:
    """The error of a file that a library does not take; a NotLoadedError unless memory ran out."""
    short = isinstance(reason, Exception) and is_out_of_memory(reason)
    kind = InvalidArgumentError if short else NotLoadedError
    return kind(f"{path} can't be loaded as an ONNX network; get the file again, or name the right one: {reason}")


def existing(path: Path) -> Path:
    """The path, when a file is there; else NotFoundError."""
    if not path.is_file():
        raise NotFoundError(
            f"model file {path} does not exist; reinstall the package that ships it or correct the path"
        )
    return path
