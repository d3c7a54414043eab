"""Engine: the one object that a program makes. Calls go in, results come out, and the compiled core does the rest."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from vista_fast._core import EngineCore, Image, LoopCaller, on_engine_thread
from vista_fast.engine.drain import Drain
from vista_fast.engine.expectation import Expectation
from vista_fast.engine.futures import CallFuture
from vista_fast.engine.images import ImageStore
from vista_fast.engine.loops import LoopQueues
from vista_fast.engine.many import ManyCalls
from vista_fast.engine.op import Op
from vista_fast.engine.opening import LoopOpeners, is_encoded, left_of
from vista_fast.engine.prometheus import prometheus_text
from vista_fast.engine.pullers import Pullers
from vista_fast.engine.trace import Trace
from vista_fast.errors import InvalidArgumentError
from vista_fast.types import is_placed

if TYPE_CHECKING:
    from vista_fast._core import CudaPreprocess, DevicePixels
    from vista_fast.engine.futures import LoopFuture
    from vista_fast.types import ImageSource, PlacedImage

_CLOSE_AT_EXIT = 1.0
"""Seconds that calls in flight get when the interpreter exits, or the engine is dropped without ``close``."""

_JOIN_TIMEOUT = 0.5
"""Seconds that a thread of a closed engine gets to end; one that runs a user's function may never."""


class Engine(LoopCaller):
    """Runs calls of Ops: equal ones once, alike ones in batches.

    ``threads`` native workers (default: the cores this process may use), ``cache_bytes`` for results, ``image_bytes``
    for Images that ``image`` opened. At most ``max_calls`` different calls, or ``max_bytes`` of their arguments (an
    Image counts once, however many look at it), are inside at once; more wait for room, none is refused.

    Every call takes ``flow`` (a hashable: the unit of fairness, such as a trajectory), ``priority`` (an int, larger
    first), ``soft_deadline`` (seconds from now by which it should be done), ``deadline`` (seconds from now after
    which it fails with DeadlineExceededError), ``room_timeout`` (seconds that it may wait for room in a full
    engine, after which it fails with ResourceExhaustedError; default: it waits) and ``nested`` (true for a call on
    behalf of an admitted one: it never waits for room). Arguments are JSON-like values, bytes, numpy arrays and
    Images. The image, when an Op takes one, may be given by position, and then as anything that ``image`` opens, or as
    the hash of an Image that the engine holds; it is opened on the calling thread, but for ``acall``, which reads and
    decodes beside its loop. That of a native Op may be so by its name too, in ``submit_many`` as well. An image that
    lies on a device goes to Ops that take it (``Op.image_types``, ``redirect``).
    """

    def __init__(
        self,
        threads: int | None = None,
        cache_bytes: int = 256 << 20,
        *,
        image_bytes: int = 512 << 20,
        max_calls: int = 65536,
        max_bytes: int = 1 << 30,
    ) -> None:
        if threads is None:
            threads = len(os.sched_getaffinity(0))
        _check_at_least("threads", threads, 1)
        _check_at_least("cache_bytes", cache_bytes, 0)
        _check_at_least("image_bytes", image_bytes, 0)
        _check_at_least("max_calls", max_calls, 1)
        _check_at_least("max_bytes", max_bytes, 1)
        self.threads = threads
        self._core = EngineCore(threads, cache_bytes, max_calls, max_bytes)
        self._images = ImageStore(image_bytes)
        self._core.open_images_with(self._images.resolve)
        self._image_types: dict[str, tuple[type, ...]] = {}
        self._redirected: dict[str, str] = {}
        self._pullers = Pullers(self._core)
        self._loops = LoopQueues()
        self._openers = LoopOpeners(self._images.resolve, threads)
        super().__init__(self._core, self._loops)
        self._drain = Drain(self._core, self._pullers)
        self._parts = (self._core, self._pullers, self._loops, self._openers, self._drain)
        self._finalizer = weakref.finalize(self, _close, *self._parts, _CLOSE_AT_EXIT)

    def register(self, op: Op) -> None:
        """Adds an Op whose batch function is in Python and starts its pullers."""
        op_id = self._core.register(
            name=op.name,
            version=op.version,
            max_batch=op.policy.max_batch,
            max_delay=op.policy.max_delay,
            linger=op.policy.linger,
            adaptive=op.policy.adaptive,
            cacheable=op.cacheable,
            concurrency=op.concurrency,
            max_in_flight=op.max_in_flight or 0,
            max_queue=op.max_queue or 0,
            timeout=op.timeout or 0.0,
            key=op.key,
            size=op.size,
        )
        self._image_types[op.name] = op.image_types
        self._pullers.serve(op_id, op)

    def register_native(self, op: CudaPreprocess, image_type: type, open_image: Callable[[Any], DevicePixels]) -> None:
        """Adds an Op whose batch function is in C++. Its images are of ``image_type``, as ``open_image`` gives them to
        the core; it may raise a VistaError.

        Raises InvalidArgumentError when there is an Op of that name.
        """
        name = op.name
        self._core.add_op(op, open_image)
        self._image_types[name] = (image_type,)

    def redirect(self, op: str, image_type: type, to: str) -> None:
        """From now on a call of ``op`` whose image is of ``image_type`` is one of the Op ``to``, so that it runs where
        its image lives. Once per Op.

        Raises NotFoundError for an unknown Op and InvalidArgumentError the second time.
        """
        self._core.redirect(op, image_type, to)
        self._image_types[op] = (*self._image_types.get(op, ()), image_type)
        self._redirected[op] = to

    def takes(self, op: str, image_type: type) -> bool:
        """Whether ``op`` takes images of that type as they are: an Image, one of its own, or one that is redirected."""
        return image_type is Image or issubclass(image_type, self._image_types.get(op, ()))

    @property
    def ops(self) -> tuple[str, ...]:
        """The names of all registered Ops, those that every engine has first."""
        return tuple(self._core.op_names())

    def image(
        self,
        source: ImageSource,
        *,
        region: tuple[float, float, float, float] | None = None,
        at_least: tuple[int, int] | None = None,
    ) -> Image:
        """Opens an image: a path, encoded bytes, a data URL, a PIL image, a uint8 array [H, W, 3] or torch tensor
        [3, H, W] (copied), an Image.

        The same encoded bytes are decoded once. For encoded sources alone, ``region`` (left, top, right, bottom; in
        pixels of the whole upright picture, rounded outward and clamped) opens that part, and ``at_least`` (width,
        height) lets a JPEG be opened at 1/8, 1/4 or 1/2 of its size when what is asked for has still that many pixels
        then; both save most of the decoding of a large JPEG. Raises InvalidArgumentError or NotFoundError.
        """
        return self._images.open(source, region, at_least)

    def held_image(self, image_hash: str) -> Image:
        """The Image of that hash, when ``image`` opened it and it is still held; else NotFoundError."""
        return self._images.get(image_hash)

    def submit(
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
    ) -> CallFuture:
        """Submits a call and gives its future at once; only while the engine is full does it block for room, and never
        on the thread of a running event loop."""
        if image is not None:
            self._add_image(op, image, arguments)
        future = CallFuture()
        may_block = not (nested or on_engine_thread() or _on_loop())
        future._request = self._core.submit(
            op,
            arguments,
            self._drain.queue,
            future,
            may_block,
            flow,
            priority,
            soft_deadline,
            deadline,
            room_timeout,
            nested,
        )
        future._core, future._drain = self._core, self._drain
        return future

    def call(
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
    ) -> Any:
        """Submits a call and blocks for its result."""
        if image is not None:
            self._add_image(op, image, arguments)
        return self._core.call(op, arguments, flow, priority, soft_deadline, deadline, room_timeout, nested)

    def submit_many(
        self,
        op: str,
        calls: Sequence[Mapping[str, Any]],
        *,
        flow: Hashable = None,
        priority: int = 0,
        soft_deadline: float | None = None,
        deadline: float | None = None,
        room_timeout: float | None = None,
        nested: bool = False,
    ) -> ManyCalls:
        """Submits many calls of one Op in one crossing. Never blocks: while the engine is full they wait for room.

        Each item is a dict of arguments (the image under ``"image"``), which must not be changed until its call is
        done.
        """
        arguments = calls if isinstance(calls, list) else list(calls)
        many = self._core.submit_many(op, arguments, flow, priority, soft_deadline, deadline, room_timeout, nested)
        return ManyCalls(self._core, many, self._loops)

    def expect(self, op: str, *, flow: Hashable = None) -> Expectation:
        """Says that a call of this Op may come from this flow soon, so that a Batch may wait for it (at most its
        policy's max_delay). The call's submission ends it; so does leaving its ``with`` block. Where the Op is
        redirected, so does the place to which its calls may go, and only that block ends the one that got no call."""
        places = [op, self._redirected[op]] if op in self._redirected else [op]
        return Expectation(self._core, [self._core.expect(place, flow) for place in places])

    def stats(self) -> dict[str, Any]:
        """Counts since the engine was made; times are in seconds.

        ``ops``: per Op the calls by how they ended, joins, cache hits and evictions, batches, close reasons, and the
        distributions of batch size, of the time until a puller was free (``queue``), while a Batch was held open for
        company (``batch_wait``), while it ran (``run``) and in all (``latency``). ``cache``, ``images``,
        ``admission``: entries and bytes.
        """
        stats: dict[str, Any] = self._core.stats()
        stats["images"] = self._images.stats()
        return stats

    def prometheus(self) -> str:
        """The same statistics in the text format of Prometheus, for a ``/metrics`` endpoint."""
        return prometheus_text(self.stats())

    def trace(self, path: str | Path, *, capacity: int = 1_000_000) -> Trace:
        """Records what happens in its ``with`` block, at most ``capacity`` Batches and as many calls, and then writes
        ``path`` as Chrome trace JSON, which opens in Perfetto."""
        return Trace(self._core, Path(path), capacity)

    def close(self, timeout: float = 10.0) -> None:
        """Refuses new calls, completes the accepted ones for at most ``timeout`` seconds, aborts what is left then, and
        joins its threads; a batch function that never returns is abandoned. Later calls do nothing."""
        if self._finalizer.detach() is not None:
            _close(*self._parts, timeout)

    def _add_image(self, op: str, image: ImageSource | PlacedImage, arguments: dict[str, Any]) -> None:
        _check_one_image(arguments)
        if type(image) is Image or self.takes(op, type(image)):
            arguments["image"] = image
        elif is_placed(image):
            raise InvalidArgumentError(
                f"{op} runs on the host, and {image!r} does not lie there; pass its to_host(), or register the Op's "
                "counterpart on the device (vista_fast.devices)"
            )
        else:
            arguments["image"] = self._images.resolve(cast("ImageSource", image))

    def _submit_when_open(
        self,
        future: LoopFuture,
        image: ImageSource | PlacedImage,
        op: str,
        arguments: dict[str, Any],
        flow: Hashable,
        priority: int,
        soft_deadline: float | None,
        deadline: float | None,
        room_timeout: float | None,
        nested: bool,
    ) -> bool:
        """For acall: true when the image has to be opened first, which then happens beside the loop. Deadlines run
        from the call."""
        if not is_encoded(image):
            self._add_image(op, image, arguments)
            return False
        _check_one_image(arguments)
        self._core.check_open()

        def submit(opened: Image, waited: float) -> int:
            return self._core.submit(
                op,
                arguments | {"image": opened},
                self._loops.of(future.get_loop()),
                future,
                False,
                flow,
                priority,
                left_of(soft_deadline, waited),
                left_of(deadline, waited),
                left_of(room_timeout, waited),
                nested,
            )

        self._openers.submit_when_open(future, image, submit)
        return True

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(10.0 if error is None else 0.0)


def _close(
    core: EngineCore,
    pullers: Pullers,
    loops: LoopQueues,
    openers: LoopOpeners,
    drain: Drain,
    timeout: float,
) -> None:
    if core.carried_across_fork():
        return
    try:
        core.close(timeout)
    except BaseException:
        # Ctrl-C while calls in flight had time left: they are aborted, and the engine is closed all the same.
        core.close(0.0)
        raise
    finally:
        openers.close()
        loops.close()
        drain.close(_JOIN_TIMEOUT)
        pullers.join(_JOIN_TIMEOUT)


def _check_one_image(arguments: dict[str, Any]) -> None:
    if "image" in arguments:
        raise InvalidArgumentError("the image is given twice, by position and by name; give it once")


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InvalidArgumentError(f"{name} is {value}; it must be at least {least}")
