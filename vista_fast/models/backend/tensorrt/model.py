"""TensorRtModel: the Model of the backends "tensorrt" and "tensorrt_rtx"."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError
from vista_fast.models.backend.halving import run_halving
from vista_fast.models.backend.model import Array, Precision, TensorSpec, check_batch, check_names, check_tensor, shown
from vista_fast.models.backend.profile import Profile
from vista_fast.models.backend.tensorrt.cache import EngineCache
from vista_fast.models.backend.tensorrt.compile import recipe
from vista_fast.models.backend.tensorrt.engine import Engine
from vista_fast.models.backend.tensorrt.execution import torch_dtype
from vista_fast.models.backend.tensorrt.lane import Lane
from vista_fast.models.backend.tensorrt.library import LibraryName
from vista_fast.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    import torch


class TensorRtModel:
    """A network as an engine on this machine's GPU; each thread that calls it runs on a stream of its own.

    Building engines is tested with tensorrt_rtx, which needs no GPU for it. Running them is not verified: tensorrt_rtx
    does not run on an H200, the one GPU that was at hand.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        precision: Precision = "f32",
        device: str = "cuda",
        profiles: Sequence[Profile] = (),
        library: LibraryName = "tensorrt",
        cache: EngineCache | None = None,
    ) -> None:
        """Load the engine of an ONNX file, building it when the cache has none (seconds to minutes).

        Args:
            path: the ONNX file.
            threads: not used: a GPU does the work.
            precision: "f32", or "f16" or "bf16" for the products inside.
            device: "cuda", which is torch's current one now, whichever thread runs it later.
            profiles: the shapes that calls have; needed where shapes vary.
            library: "tensorrt" or "tensorrt_rtx".
            cache: of engines; default: the user's.

        Raises:
            InvalidArgumentError: there is no GPU, the file is no ONNX network, the library can't run it, or a profile
                does not fit its inputs.
            MissingExtraError: the library or torch is not installed.
            NotFoundError: there is no such file.
            StorageError: the cache can't be written.
        """
        if device != "cuda":
            raise InvalidArgumentError(f"{library} runs on device 'cuda' only, got device {device!r}")
        made = recipe(path, profiles, precision, library, None, cache)
        self._engine = Engine(made)
        self.metadata: Mapping[str, str] = made.network.metadata
        self.inputs: Sequence[TensorSpec] = self._engine.inputs
        self.outputs: Sequence[TensorSpec] = self._engine.outputs
        self._local = threading.local()

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        """All outputs by name. A batch that does not fit the device's memory runs in halves.

        Raises:
            InvalidArgumentError: names, shapes or dtypes are not those of the inputs, or no profile holds the shapes.
            ResourceExhaustedError: a single item of the batch does not fit the device's memory.
            OpError: the library fails at it.
        """
        arrays = check_batch(self.inputs, batch)
        named = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        return run_halving(self._run, named, self.inputs, self.outputs, is_out_of_memory)

    def run_on_device(self, batch: Mapping[str, Any], /) -> dict[str, torch.Tensor]:
        """The same without the host: one object with ``__dlpack__`` on the device per input; the outputs are tensors
        on the device, which offer DLPack too. They are ready for work on the caller's current stream.

        Raises:
            InvalidArgumentError: names, shapes, dtypes or devices are not those of the inputs, or no profile holds the
                shapes.
            OpError: the library fails at it.
            ResourceExhaustedError: it does not fit the device's memory; nothing is split here.
        """
        check_names(self.inputs, batch)
        try:
            return self._on_device(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error)
        # Outside the handler, whose traceback would keep the failed run's memory.
        self._release()
        raise ResourceExhaustedError(
            f"the device has no memory for what {', '.join(batch)} need: {reason}. Give fewer items, or free some of it"
        )

    def _on_device(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        from torch.utils.dlpack import from_dlpack

        tensors = {name: from_dlpack(given).contiguous() for name, given in batch.items()}
        for spec in self.inputs:
            tensor = tensors[spec.name]
            if not tensor.is_cuda or tensor.device.index != self._engine.device:
                raise InvalidArgumentError(
                    f"input {spec.name} is on {tensor.device}; move it to cuda:{self._engine.device}, or call run()"
                )
            if tensor.dtype != torch_dtype(spec.dtype):
                raise InvalidArgumentError(f"input {spec.name} is {tensor.dtype}; the network takes {shown(spec)}")
            check_tensor(spec, tensor.shape, spec.dtype)
        return self._lane().run_on_device(tensors)

    def _run(self, batch: dict[str, Array]) -> dict[str, Array]:
        try:
            return self._lane().run(batch)
        except Exception as error:
            if is_out_of_memory(error):
                self._release()
            raise

    def _release(self) -> None:
        lane: Lane | None = getattr(self._local, "lane", None)
        if lane is not None:
            lane.release()

    def _lane(self) -> Lane:
        lane: Lane | None = getattr(self._local, "lane", None)
        if lane is None:
            lane = self._local.lane = Lane(self._engine)
        return lane
