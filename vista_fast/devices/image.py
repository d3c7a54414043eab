"""Pixels on a device, and when they are ready."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from vista_fast._core import DeviceArray, DevicePixels, Image, show_device_arrays_as
from vista_fast.errors import InvalidArgumentError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch


class DeviceTensor:
    """An immutable tensor in a device's memory.

    Made right after the work that writes it was given to the current stream: an event is recorded there now, and every
    reader waits for it on its own stream.
    """

    __slots__ = ("_ready", "_tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self._ready = stream_of(tensor.device).record_event()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its dimensions."""
        return tuple(self._tensor.shape)

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self._tensor.device

    @property
    def bytes(self) -> int:
        """Of device memory."""
        return int(self._tensor.numel()) * int(self._tensor.element_size())

    def tensor(self) -> torch.Tensor:
        """The tensor, for work on the current stream, which waits for it; not to be written to."""
        stream = stream_of(self.device)
        stream.wait_event(self._ready)
        if self.device.type == "cuda":
            # Else the allocator could hand the memory out again while this stream still reads it.
            self._tensor.record_stream(stream)
        return self._tensor

    def to_host(self) -> npt.NDArray[Any]:
        """A copy as an array; waits for the device. Not for bfloat16, which numpy doesn't have."""
        values: npt.NDArray[Any] = self.tensor().to("cpu", copy=True).numpy()
        return values


class CoreTensor(DeviceTensor):
    """One that the compiled core has given to its own queue on the device to write."""

    __slots__ = ("_array",)

    def __init__(self, array: DeviceArray) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its dimensions."""
        return self._array.shape

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        import torch

        return torch.device("cpu") if self._array.device < 0 else torch.device("cuda", self._array.device)

    @property
    def bytes(self) -> int:
        """Of device memory."""
        return self._array.bytes

    def tensor(self) -> torch.Tensor:
        """The tensor, for work on the current stream, which waits for it; not to be written to."""
        import torch

        tensor: torch.Tensor = torch.utils.dlpack.from_dlpack(self._array)
        return tensor


show_device_arrays_as(CoreTensor)


class DeviceImage:
    """An immutable RGB picture in a device's memory.

    ``hash`` names it as it names an Image: the same for an Image that was copied there, for a result that of its
    source and of what was done. Made from ``pixels``, uint8 [height, width, 3] and contiguous, when a DeviceTensor is.
    The pixels come to the host only through ``to_host``. ``source`` is the Image that was copied, if one was.

    Raises InvalidArgumentError for other pixels.
    """

    __slots__ = ("_pixels", "_source", "hash")

    def __init__(self, pixels: torch.Tensor, image_hash: str, source: Image | None = None) -> None:
        import torch

        if pixels.dtype != torch.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.numel():
            raise InvalidArgumentError(
                f"the pixels of a DeviceImage are {pixels.dtype} {list(pixels.shape)}; pass uint8 [height, width, 3]"
            )
        if not pixels.is_contiguous():
            raise InvalidArgumentError("the pixels of a DeviceImage have gaps; pass pixels.contiguous()")
        self._pixels = DeviceTensor(pixels)
        # Weak: what lies on the device must not keep memory of the host.
        self._source = None if source is None else weakref.ref(source)
        self.hash = image_hash

    @property
    def width(self) -> int:
        """In pixels."""
        return self._pixels.shape[1]

    @property
    def height(self) -> int:
        """In pixels."""
        return self._pixels.shape[0]

    @property
    def bytes(self) -> int:
        """Of device memory."""
        return self._pixels.bytes

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self._pixels.device

    def pixels(self) -> torch.Tensor:
        """uint8 [height, width, 3], for work on the current stream, which waits for them; not to be written to."""
        return self._pixels.tensor()

    def in_core(self) -> DevicePixels:
        """The same as native Ops take it."""
        # Not kept: what the core holds is released a little later than it is let go of.
        tensor, ready, on_gpu = self._pixels._tensor, self._pixels._ready, self.device.type == "cuda"
        return DevicePixels(
            hash=self.hash,
            address=tensor.data_ptr(),
            width=self.width,
            height=self.height,
            device=self.device.index if on_gpu else -1,
            ready=ready.cuda_event if on_gpu else 0,
            owner=(tensor, ready),
        )

    def to_host(self) -> Image:
        """The Image that was copied to the device, while there is one; else a copy, whose hash is that of its pixels.

        Waits for the device.
        """
        source = None if self._source is None else self._source()
        if source is not None:
            return source
        return Image.from_array(self.pixels().cpu().numpy())

    def __repr__(self) -> str:
        return f"DeviceImage({self.width} x {self.height} on {self.device}, {self.hash})"


def stream_of(device: torch.device) -> Any:
    """The stream that work for ``device`` goes to now."""
    import torch

    return torch.cuda.current_stream(device) if device.type == "cuda" else torch.cpu.current_stream()
