"""The compiled core. Use it through vista_fast.Engine and vista_fast.Image."""

import builtins
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, TypeVar, final, overload

import numpy as np
import numpy.typing as npt
import PIL.Image

from vista_fast.engine.futures import CallFuture, LoopFuture
from vista_fast.engine.loops import LoopQueues
from vista_fast.types import ImageSource, PlacedImage

_Outcome = Literal["run", "joined", "cached"]
_Out = TypeVar("_Out")
_Completion = tuple[Any, Any, BaseException | None, _Outcome]

class Object: ...

def new_rows(shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """An uninitialised float32 array. Its memory is kept for the next of its size."""

@overload
def gather(arrays: Sequence[npt.NDArray[np.float32]], out: None = None) -> npt.NDArray[np.float32]:
    """The rows of float32 arrays [n, ...] one after the other, in a new array [sum of n, ...]; one copy, off the GIL.

    Raises InvalidArgumentError when they differ behind their first dimension.
    """

@overload
def gather(arrays: Sequence[npt.NDArray[np.float32]], out: _Out) -> _Out:
    """The same into ``out``: anything with ``__dlpack__`` of that shape on the CPU, without gaps, float32 or bfloat16
    (rounded to nearest even), such as a torch tensor. Gives ``out``."""

@final
class Image(Object):
    """Immutable RGB pixels, uint8 [height, width, 3], and a 128-bit hash.

    ``numpy.asarray`` gives a read-only view of them without copying; DLPack gives a copy unless asked with
    ``copy=False``. Two Images are equal when their hashes are.
    """

    @staticmethod
    def decode(
        encoded: builtins.bytes,
        *,
        pixel_limit: int = 178_956_970,
        hash: str | None = None,
        region: tuple[float, float, float, float] | None = None,
        at_least: tuple[int, int] | None = None,
    ) -> Image:
        """Decodes a JPEG, PNG or WebP: upright by EXIF, 16 bits cut to 8, transparency over white, of an animation the
        first frame. Raises InvalidArgumentError for bytes that can't be decoded and ResourceExhaustedError, before
        allocating, for more pixels than ``pixel_limit``. ``hash`` is the Image's own, for those who know it
        already; a whole Image without keeps the bytes, to hash them when first asked.

        ``region`` (left, top, right, bottom), in pixels of the whole upright picture, rounded outward and clamped,
        gives that part alone: of a JPEG little else is decoded, and damage elsewhere may go unseen. ``at_least``
        (width, height) lets a JPEG be decoded at 1/8, 1/4 or 1/2 of its size when the picture, or the region, has
        still that many pixels then. The hash of such an Image is that of its pixels unless ``hash`` is given;
        ``Engine.image`` gives one of the bytes and of what was asked for, known before decoding, so that the Images
        of both are equal in pixels and differ in their hashes."""

    @staticmethod
    def from_array(array: npt.NDArray[np.uint8]) -> Image:
        """Copies a uint8 array [height, width, 3] of any strides."""

    @staticmethod
    def from_pillow(picture: Any) -> Image | None:
        """Copies a PIL image of mode RGB straight from Pillow's memory, without the GIL; None where Pillow does not
        give it out (before 11.2, or above 16 MiB)."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def hash(self) -> str:
        """BLAKE2b-128 in its tree mode as 32 hexadecimal digits: of the encoded bytes where there are any, else of
        shape and pixels; of a part that ``Engine.image`` opened, of the bytes with its ``region`` and ``at_least``."""

    @property
    def bytes(self) -> int:
        """Memory that it holds, in bytes."""

    def encode(
        self,
        format: Literal["png", "jpeg"] = "png",
        *,
        quality: int = 90,
        subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0",
        level: int = 6,
    ) -> builtins.bytes:
        """Bytes of a PNG (zlib ``level`` 0 to 9) or a JPEG (``quality`` 1 to 100)."""

    def to_pil(self) -> PIL.Image.Image:
        """A PIL image of the same pixels."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Image: ...
    def __deepcopy__(self, memo: Any, /) -> Image: ...

class DevicePixels(Object):
    """uint8 [height, width, 3] without gaps at ``address`` of a device, by its number, or of the host: -1. They may be
    read when ``ready``, a cudaEvent_t or 0, has come; ``owner`` keeps them and it."""

    def __init__(
        self, *, hash: str, address: int, width: int, height: int, device: int, ready: int, owner: Any
    ) -> None: ...

class DeviceArray(Object):
    """An immutable array on a device, by its number, or on the host: -1."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Literal["float32", "float16", "bfloat16"]: ...
    @property
    def device(self) -> int: ...
    @property
    def bytes(self) -> int:
        """Of the device's memory."""

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class CudaPreprocess:
    """The native Op ``cuda.preprocess``, for engines (Engine.register_native) and for batch functions in Python.

    ``library`` has the CUDA kernels, and ``device`` is the number of a GPU, or another of the library's. At most
    ``budget_bytes`` of results are held for equal calls, and ``max_batch`` calls are one launch of an engine's. Raises
    NotFoundError for a file that is not this version's library, and OpError for a device that can't be used.
    """

    def __init__(self, *, library: str, device: int, budget_bytes: int, max_batch: int) -> None: ...
    @property
    def name(self) -> str: ...
    def run(self, calls: Sequence[dict[str, Any]]) -> list[Any]:
        """One result or exception for each call, without the GIL. Calls of one launch: their patches have one shape,
        type and normalisation; their images are DevicePixels."""

def show_device_arrays_as(type: Callable[[DeviceArray], Any]) -> None:
    """Results of native Ops have what this makes of each DeviceArray, in its place."""

def encoded_hash(encoded: bytes, part: str = "") -> str:
    """The hash of an Image that is decoded from these bytes; of one that is a ``part`` of their picture, which says
    what was asked for."""

def lay_planes(
    pixels: npt.NDArray[np.uint8],
    size: tuple[int, int],
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    canvas: npt.NDArray[np.float32],
) -> None:
    """Resize pixels, uint8 [height, width, 3], to ``size`` (width, height), bilinear as Pillow does, normalise them,
    (value / 255 - mean) / std of each channel, and write them to the top left of ``canvas``, float32
    [3, height, width], without the GIL. What lies beside them stays.

    Raises InvalidArgumentError for shapes that don't fit and for a canvas that is read-only.
    """

def write_bgr(pixels: npt.NDArray[np.uint8], values: npt.NDArray[np.float32], planes: npt.NDArray[np.float32]) -> None:
    """Write what stands for each sample of RGB pixels, uint8 [height, width, 3], to ``planes`` blue, green and red,
    float32 [3, height, width], whose rows may lie apart, without the GIL; ``values``, float32 [3, 256], has the number
    of each sample, a row a plane.

    Raises InvalidArgumentError for shapes that don't fit and for planes that are read-only or whose pixels lie apart.
    """

def mark_engine_thread() -> None: ...
def network_kernels() -> list[str]:
    """The instruction sets of this CPU that run a ConvolutionNetwork, "avx512_bf16" and "amx", the fastest last."""

def on_engine_thread() -> bool: ...
def release_now() -> None:
    """Releases the Python objects that the core has let go of, as every call into it does."""

class ConvolutionNetwork:
    """A network of convolutions over float32 images, on a CPU with AVX-512 BF16, best with AMX.

    Steps are added one by one and give the index of the tensor that they make; 0 is the input. Then it runs from any
    thread; calls at the same time share the threads. With 3 ``products`` a float32 is a sum of two bfloat16, and what
    is multiplied is off by 2^-16 of itself at most; with 1 it is one bfloat16. Sums are float32. What does not fit
    raises InvalidArgumentError.

    ``stride`` is (down, across); ``pads`` are (top, left, bottom, right), None for as many as keep the size, the odd
    one behind.
    """

    def __init__(self, channels: int, kernels: str = "") -> None:
        """For images of so many channels; ``kernels``: one of network_kernels(), default the fastest."""

    def convolution(
        self,
        inputs: Sequence[tuple[int, int, int, bool]],
        weights: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        *,
        activation: str = "none",
        stride: Sequence[int] = (1, 1),
        pads: Sequence[int] | None = (0, 0, 0, 0),
        second: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], str] | None = None,
        residual: bool = False,
        scale: int = -1,
        plus: int = -1,
        plus_upsampling: int = 0,
        products: int = 3,
    ) -> int:
        """``inputs``, (tensor, gate or -1, doublings of its size, whether of 2 x 2 pixels the largest counts, at the
        top left) each, are joined along channels; ``weights`` [outputs, inputs, height, width]; ``activation``: none,
        relu, gelu or sigmoid. ``second``, (weights, bias, activation), is a 1 x 1 convolution of what comes out. What
        comes last is multiplied by ``scale``, a gate, and ``plus`` is added, a tensor of ``plus_upsampling`` doublings,
        or with ``residual`` the input, before its activation."""

    def depthwise(
        self,
        input: int,
        weights: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        *,
        relu: bool = False,
        stride: Sequence[int] = (1, 1),
        pads: Sequence[int] | None = (0, 0, 0, 0),
    ) -> int:
        """A convolution of each channel by itself; ``weights`` [channels, height, width]."""

    def gate(
        self,
        of: int,
        first: npt.NDArray[np.float32],
        first_bias: npt.NDArray[np.float32],
        second: npt.NDArray[np.float32],
        second_bias: npt.NDArray[np.float32],
        *,
        slope: float,
        offset: float,
        add: float,
    ) -> int:
        """A number for each image and channel, of the means of a tensor: clamp(slope * (second * relu(first * means +
        first_bias) + second_bias) + offset, 0, 1) + add."""

    def blend(self, input: int, *, gate: int = -1, other: int = -1, upsampling: int = 0) -> int:
        """input * gate + other, of which each value stands for a square of 2^upsampling pixels."""

    def max_pool(
        self, input: int, *, kernel: Sequence[int], stride: Sequence[int], pads: Sequence[int] | None
    ) -> int: ...
    def depth_to_space(self, input: int, *, block: int) -> int:
        """Channels (row, column, channel) of block x block pixels, to their places."""

    def set_output(self, tensor: int) -> None:
        """The tensor that ``run`` gives; default: the latest."""

    def run(self, images: npt.NDArray[np.float32], *, threads: int) -> npt.NDArray[np.float32]:
        """float32 [n, channels, height, width] to the same of the output, on at most so many threads, the caller's
        one of them, without the GIL."""

class ClassHead:
    """A linear layer and a softmax over many classes that hand out the likeliest class alone; of ``products`` and
    ``kernels`` as ConvolutionNetwork has them."""

    def __init__(
        self,
        weights: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        *,
        products: int = 3,
        kernels: str = "",
    ) -> None:
        """``weights`` [classes, depth], ``bias`` [classes]."""

    def run(
        self, rows: npt.NDArray[np.float32], *, ignored: int = -1, threads: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Of float32 [n, depth] the likeliest classes [n], the first of equal ones, and their probabilities [n], 0 for
        the class ``ignored``; without the GIL."""

class CompletionQueue:
    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[_Completion]: ...
    def settle_on_loop(self) -> None: ...
    def take_one(self, future: CallFuture, rounds: int, timeout: float, spins: bool, /) -> bool: ...
    def rounds(self) -> int: ...
    def end_round(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def close(self) -> None: ...

class Many:
    def __len__(self) -> int: ...
    @property
    def arrived(self) -> int: ...
    @property
    def requests(self) -> list[int]: ...
    def take(self, kept: list[tuple[int, Any, BaseException | None, _Outcome]], /) -> None: ...
    def wait(self, enough: int, timeout: float, /) -> bool: ...
    def notify(self, enough: int, queue: CompletionQueue, future: Any, /) -> None: ...

class HeldBatch:
    def __init__(self) -> None: ...

class EngineCore:
    def __init__(self, threads: int, cache_bytes: int, max_calls: int, max_bytes: int, /) -> None: ...
    def open_images_with(self, open_image: Callable[[Any], Image], /) -> None: ...
    def redirect(self, op: str, image_type: type, to: str, /) -> None: ...
    def register(
        self,
        *,
        name: str,
        version: str,
        max_batch: int,
        max_delay: float,
        linger: bool,
        adaptive: bool,
        cacheable: bool,
        concurrency: int,
        max_in_flight: int,
        max_queue: int,
        timeout: float,
        key: Callable[[dict[str, Any]], str | int] | None,
        size: Callable[[dict[str, Any]], float] | None,
    ) -> int: ...
    def add_op(self, prepared: CudaPreprocess, open_image: Callable[[Any], DevicePixels], /) -> None: ...
    def op_names(self) -> list[str]: ...
    def carried_across_fork(self) -> bool: ...
    def check_alive(self) -> None: ...
    def check_open(self) -> None: ...
    def submit(
        self,
        op: str,
        arguments: dict[str, Any],
        queue: CompletionQueue,
        future: Any,
        wait_for_room: bool,
        flow: Hashable,
        priority: int,
        soft_deadline: float | None,
        deadline: float | None,
        room_timeout: float | None,
        nested: bool,
        /,
    ) -> int: ...
    def submit_many(
        self,
        op: str,
        calls: list[Any],
        flow: Hashable,
        priority: int,
        soft_deadline: float | None,
        deadline: float | None,
        room_timeout: float | None,
        nested: bool,
        /,
    ) -> Many: ...
    def call(
        self,
        op: str,
        arguments: dict[str, Any],
        flow: Hashable,
        priority: int,
        soft_deadline: float | None,
        deadline: float | None,
        room_timeout: float | None,
        nested: bool,
        /,
    ) -> Any: ...
    def cancel(self, request: int, /) -> bool: ...
    def expect(self, op: str, flow: Hashable, /) -> int: ...
    def release(self, expectation: int, /) -> None: ...
    def lease(self, op: int, held: HeldBatch, /) -> list[dict[str, Any]] | None: ...
    def complete(self, op: int, held: HeldBatch, results: Any, /) -> None: ...
    def fail(self, op: int, held: HeldBatch, exception: BaseException, /) -> None: ...
    def lose(self, op: int, held: HeldBatch, /) -> None: ...
    def take_lost_pullers(self) -> list[int]: ...
    def watch_lost_pullers(self, queue: CompletionQueue, /) -> None: ...
    def start_trace(self, capacity: int, /) -> None: ...
    def stop_trace(self) -> dict[str, Any]: ...
    def stats(self) -> dict[str, Any]: ...
    def close(self, timeout: float, /) -> None: ...

def adopt_loop_future(type: type[LoopFuture], /) -> None: ...

class LoopCaller:
    def __init__(self, core: EngineCore, queues: LoopQueues, /) -> None: ...
    def acall(
        self,
        op: str,
        image: ImageSource | PlacedImage | None = None,
        /,
        *,
        flow: Hashable = None,
        priority: int = 0,
        soft_deadline: float | None = None,
        deadline: float | None = None,
        room_timeout: float | None = None,
        nested: bool = False,
        **arguments: Any,
    ) -> LoopFuture:
        """Submits a call and gives a future of the running loop. Never blocks: while the engine is full the call waits
        for room, not the loop."""
