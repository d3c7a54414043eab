"""PyTorch: a module of the caller's, or a file that ``save_torch`` wrote; eager or compiled, on the CPU or on CUDA."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vista_fast.errors import InvalidArgumentError, OpError
from vista_fast.models.backend.choice import check_precision
from vista_fast.models.backend.halving import run_halving
from vista_fast.models.backend.model import Array, Precision, TensorSpec, check_batch, existing
from vista_fast.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

_SCRIPT, _PROGRAM = ".pt", ".pt2"
_SIGNATURE = "vista_fast.json"
"""The name of the signature within such a file."""
_AUTOCAST = {"f16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a module takes and gives, in the order of its positional arguments and of its results, and its metadata.

    A module of one output may return the tensor itself, one of more a tuple or a mapping by name.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]


class TorchModel:
    """A module that takes and gives arrays by name. Any number of threads may run it at once."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        precision: Precision = "f32",
        device: str = "cpu",
        compiler: str | None = None,
    ) -> None:
        """Load a file that ``save_torch`` wrote.

        Args:
            path: the file: an exported program (``.pt2``) or TorchScript (``.pt``).
            threads: not used: torch has one number of threads for the whole process, which belongs to the program.
            precision: "f32", or "f16" or "bf16" by autocast. On a GPU the convolutions of "f32" are in TF32 while
                ``torch.backends.cudnn.allow_tf32`` is set, which is the program's to say.
            device: "cpu" or "cuda", which is torch's current one now, whichever thread runs it later.
            compiler: what ``torch.compile`` compiles it with, such as "inductor", at its first call (a minute or more);
                calls then run one at a time. None runs it eagerly.

        Raises:
            InvalidArgumentError: it can't be loaded, or torch has no such device.
            NotFoundError: there is no such file.
        """
        place = _place(precision, device)
        module, signature = _load(path, place)
        self._prepare(module, signature, precision, place, compiler)

    @classmethod
    def of_module(
        cls,
        module: torch.nn.Module,
        signature: Signature,
        *,
        precision: Precision = "f32",
        device: str = "cpu",
        compiler: str | None = None,
    ) -> TorchModel:
        """The same for a module in memory, which is moved to the device and set to evaluate."""
        model = cls.__new__(cls)
        model._prepare(module.eval(), signature, precision, _place(precision, device), compiler)
        return model

    def _prepare(
        self,
        module: torch.nn.Module,
        signature: Signature,
        precision: Precision,
        device: torch.device,
        compiler: str | None,
    ) -> None:
        import torch

        self._device = device
        self._module: Any = module.to(device)
        if compiler is not None:
            self._module = torch.compile(self._module, dynamic=True, backend=compiler)
        self._compiling = None if compiler is None else threading.Lock()
        self._precision = precision
        self.inputs: Sequence[TensorSpec] = signature.inputs
        self.outputs: Sequence[TensorSpec] = signature.outputs
        self.metadata: Mapping[str, str] = dict(signature.metadata)

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        """All outputs by name. A batch that does not fit the memory runs in halves.

        Raises:
            InvalidArgumentError: names, shapes or dtypes are not those of the inputs.
            OpError: the module does not give what its signature says.
            ResourceExhaustedError: a single item of the batch does not fit the memory.
        """
        arrays = check_batch(self.inputs, batch)
        named = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        return run_halving(self._run, named, self.inputs, self.outputs, is_out_of_memory)

    def _run(self, batch: dict[str, Array]) -> dict[str, Array]:
        import torch

        lowered = _AUTOCAST.get(self._precision)
        with (
            # What launches kernels by itself takes the current one, whatever has its tensors.
            torch.cuda.device(self._device) if self._device.type == "cuda" else contextlib.nullcontext(),
            torch.inference_mode(),
            torch.autocast(self._device.type, getattr(torch, lowered or "bfloat16"), enabled=lowered is not None),
        ):
            tensors = [self._tensor(array) for array in batch.values()]
            return self._named(self._call(tensors))

    def _tensor(self, array: Array) -> torch.Tensor:
        """A copy where the array is read-only, which torch does not know."""
        import torch

        return torch.from_numpy(array if array.flags.writeable else array.copy()).to(self._device)

    def _call(self, tensors: Sequence[torch.Tensor]) -> Any:
        if self._compiling is None:
            return self._module(*tensors)
        with self._compiling:
            return self._module(*tensors)

    def _named(self, results: Any) -> dict[str, Array]:
        """The module's results by name, each in memory of its own."""
        import torch

        if isinstance(results, Mapping):
            results = [results.get(spec.name) for spec in self.outputs]
        elif isinstance(results, torch.Tensor):
            results = [results]
        if len(results) != len(self.outputs) or not all(isinstance(each, torch.Tensor) for each in results):
            raise OpError(
                f"the module gives {[type(each).__name__ for each in results]}, and its signature says "
                f"{', '.join(spec.name for spec in self.outputs)}; correct the signature"
            )
        named = {}
        for spec, tensor in zip(self.outputs, results, strict=True):
            # Autocast leaves results in its own type, and numpy has no bfloat16.
            dtype = torch.from_numpy(np.empty(0, spec.dtype)).dtype
            named[spec.name] = tensor.to("cpu", dtype, copy=True).numpy()
        return named


def _place(precision: Precision, device: str) -> torch.device:
    """The device to run on; of a GPU the one that is current now, because the threads that run may have another."""
    check_precision("torch", precision)
    return torch_device(device)


def torch_device(device: str) -> torch.device:
    """Torch's device of that name, "cpu" or "cuda", which is its current one now.

    Raises InvalidArgumentError where torch has no such device.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
    if device != "cuda" or not torch.cuda.is_available():
        raise InvalidArgumentError(f"torch has no device {device!r} here; choose 'cpu', or install a build for CUDA")
    return torch.device("cuda", torch.cuda.current_device())


def save_torch(module: torch.nn.Module, path: Path, signature: Signature, example: Mapping[str, Array]) -> None:
    """Write a module to a file that the backend "torch" opens.

    Args:
        module: a ScriptModule goes into TorchScript (``.pt``), any other is exported (``.pt2``).
        path: the file; its name must end accordingly.
        signature: names, shapes and dtypes of what it takes and gives.
        example: one array per input; what it has 0 or 1 of must not vary.

    Raises:
        InvalidArgumentError: the name ends otherwise, or torch can't export the module.
    """
    import torch

    scripted = isinstance(module, torch.jit.ScriptModule)
    wanted = _SCRIPT if scripted else _PROGRAM
    if path.suffix != wanted:
        raise InvalidArgumentError(f"{type(module).__name__} goes into a file that ends in {wanted}, got {path}")
    extra = {_SIGNATURE: _dumped(signature)}
    try:
        if scripted:
            torch.jit.save(module, path, _extra_files=extra)
        else:
            torch.export.save(_exported(module, signature, example), path, extra_files=extra)
    except Exception as error:  # the library has many classes
        raise InvalidArgumentError(f"{type(module).__name__} can't be exported: {error}") from error


def _exported(module: torch.nn.Module, signature: Signature, example: Mapping[str, Array]) -> Any:
    import torch

    arrays = check_batch(signature.inputs, example)
    vary = tuple(
        {at: torch.export.Dim.AUTO for at, size in enumerate(spec.shape) if size is None} for spec in signature.inputs
    )
    return torch.export.export(
        module.eval(), tuple(torch.from_numpy(array.copy()) for array in arrays), dynamic_shapes=vary
    )


def _load(path: Path, device: torch.device) -> tuple[torch.nn.Module, Signature]:
    import torch
    from torch.export.passes import move_to_device_pass

    existing(path)
    extra: dict[str, Any] = {_SIGNATURE: ""}
    try:
        if path.suffix == _SCRIPT:
            read: Any = torch.jit.load  # untyped
            module = read(path, map_location="cpu", _extra_files=extra).eval()
        else:
            program = torch.export.load(path, extra_files=extra)
            if device.type != "cpu":
                # A program has the devices of its constants written into it.
                program = move_to_device_pass(program, str(device))
            module = program.module()
    except Exception as error:  # the library has many classes
        raise InvalidArgumentError(
            f"{path} can't be loaded as a program of torch: {error}; write it again with vista_fast's save_torch"
        ) from error
    if not extra[_SIGNATURE]:
        raise InvalidArgumentError(
            f"{path} does not say the names and shapes of its inputs; write it with vista_fast's save_torch"
        )
    return module, _loaded(extra[_SIGNATURE])


def _dumped(signature: Signature) -> str:
    def listed(specs: Sequence[TensorSpec]) -> list[Any]:
        return [[spec.name, list(spec.shape), spec.dtype.str] for spec in specs]

    return json.dumps([listed(signature.inputs), listed(signature.outputs), dict(signature.metadata)])


def _loaded(text: str) -> Signature:
    def specs(listed: list[Any]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, tuple(shape), np.dtype(dtype)) for name, shape, dtype in listed)

    inputs, outputs, metadata = json.loads(text)
    return Signature(specs(inputs), specs(outputs), metadata)
