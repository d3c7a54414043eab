"""Images by hash: decoded once, however many rollouts look at them, within a budget of bytes."""

from __future__ import annotations

import base64
import binascii
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vista_fast._core import Image, encoded_hash
from vista_fast.engine.opening import IMAGE_HASH
from vista_fast.engine.recent import Recent
from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.types import is_placed

if TYPE_CHECKING:
    import PIL.Image

    from vista_fast.types import ImageSource


Region: TypeAlias = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels of the whole upright picture; right and bottom outside."""

Size: TypeAlias = tuple[int, int]
"""(width, height) in pixels."""


class ImageStore:
    """The Images that an engine holds, least recently used first out. Any thread may use it."""

    def __init__(self, budget_bytes: int) -> None:
        self._images: Recent[Image] = Recent(budget_bytes)
        self._lock = threading.Lock()
        self._decoding: dict[str, Future[Image | None]] = {}

    def open(self, source: ImageSource, region: Region | None = None, at_least: Size | None = None) -> Image:
        """The Image of a source; encoded bytes that are held already are not decoded again."""
        encoded = None if isinstance(source, Image) else _encoded(source)
        if encoded is None:
            if region is not None or at_least is not None:
                raise InvalidArgumentError(
                    f"region and at_least tell how to decode, and a source of type {type(source).__name__} is decoded "
                    "already; give encoded bytes or a path, or use image.zoom"
                )
            return self._hold(source if isinstance(source, Image) else _from_pixels(source))
        image_hash = _encoded_hash(encoded, region, at_least)
        held = self._images.find(image_hash)
        return held if held is not None else self._decode_once(encoded, image_hash, region, at_least)

    def resolve(self, given: ImageSource) -> Image:
        """The Image of a call's argument: a source as for ``open``, or the hash of a held Image."""
        if isinstance(given, str) and IMAGE_HASH.fullmatch(given):
            return self.get(given)
        return self.open(given)

    def get(self, image_hash: str) -> Image:
        """The held Image of that hash; NotFoundError when there is none (any more)."""
        image = self._images.find(image_hash)
        if image is None:
            raise NotFoundError(
                f"no image with hash {image_hash} is held; open its source again with Engine.image, "
                "or give the engine a larger image_bytes"
            )
        return image

    def stats(self) -> dict[str, int]:
        """How many Images are held, their bytes and the budget."""
        return self._images.stats()

    def _decode_once(self, encoded: bytes, image_hash: str, region: Region | None, at_least: Size | None) -> Image:
        """Threads that open the same bytes at once wait for the first of them to decode."""
        while True:
            image = self._decode_or_wait(encoded, image_hash, region, at_least)
            if image is not None:
                return image

    def _decode_or_wait(
        self, encoded: bytes, image_hash: str, region: Region | None, at_least: Size | None
    ) -> Image | None:
        """None when the thread that decoded was interrupted, which is no answer for those who waited for it."""
        mine: Future[Image | None] = Future()
        try:
            with self._lock:
                # Looked up again: another thread may have decoded it since.
                if (held := self._images.find(image_hash)) is not None:
                    return held
                decoding = self._decoding.setdefault(image_hash, mine)
            if decoding is mine:
                mine.set_result(self._hold(Image.decode(encoded, hash=image_hash, region=region, at_least=at_least)))
            return decoding.result()
        except Exception as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                if self._decoding.get(image_hash) is mine:
                    del self._decoding[image_hash]
            if not mine.done():
                mine.set_result(None)

    def _hold(self, image: Image) -> Image:
        return self._images.hold(image.hash, image, image.bytes)


def _encoded_hash(encoded: bytes, region: Region | None, at_least: Size | None) -> str:
    """That of the bytes; of a part of the picture, that of the bytes' hash and of what was asked for."""
    if region is None and at_least is None:
        return encoded_hash(encoded)
    edges = None if region is None else tuple(map(float, region))
    return encoded_hash(encoded, f"region={edges} at_least={at_least}")


def _encoded(source: ImageSource) -> bytes | None:
    """The encoded bytes of a source that has them."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str) and source.startswith("data:"):
        return _decode_data_url(source)
    if isinstance(source, str | Path):
        return _read_file(source)
    return None


def _decode_data_url(url: str) -> bytes:
    header, comma, body = url.partition(",")
    if not comma or not header.endswith(";base64"):
        raise InvalidArgumentError(f"the data URL starts with {header[:40]!r}; it must be 'data:image/...;base64,...'")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise InvalidArgumentError(f"the data URL holds no valid base64 ({error}); encode the bytes again") from error


def _read_file(path: str | Path) -> bytes:
    if "://" in str(path):
        raise InvalidArgumentError(f"{str(path)[:80]!r} is a URL; fetch it first and pass the bytes")
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no image file {str(path)!r}; check the path") from error
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"the image file {str(path)[:200]!r} can't be read: {error}") from error


def _from_pixels(source: Any) -> Image:
    if hasattr(source, "__array_interface__") and hasattr(source, "getbands"):
        return Image.from_array(_pil_pixels(source))
    if hasattr(source, "__array_interface__"):
        return Image.from_array(source)
    if hasattr(source, "detach") and hasattr(source, "permute"):
        return Image.from_array(_tensor_pixels(source))
    if is_placed(source):
        raise InvalidArgumentError(f"{source!r} does not lie on the host; pass its to_host()")
    raise InvalidArgumentError(
        f"an image source is of type {type(source).__name__}; pass a path, bytes, a data URL, a PIL image, "
        "a uint8 array [height, width, 3], a torch tensor [3, height, width] or an Image"
    )


def _tensor_pixels(tensor: Any) -> Any:
    """Pixels [height, width, 3] of a torch tensor, channels first as torchvision has them."""
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise InvalidArgumentError(
            f"a torch tensor of shape {list(tensor.shape)} is no image; give uint8 [3, height, width]"
        )
    if str(tensor.dtype) != "torch.uint8":
        raise InvalidArgumentError(
            f"a torch tensor of dtype {tensor.dtype} is no image; give uint8 [3, height, width]: "
            "(tensor * 255).round().to(torch.uint8) where its values run from 0 to 1"
        )
    return tensor.detach().cpu().permute(1, 2, 0).numpy()


def _pil_pixels(image: PIL.Image.Image) -> Any:
    """Upright RGB pixels, transparency over white: what decoding the same file in the core gives.

    Raises InvalidArgumentError for a mode that Pillow can't convert.
    """
    import numpy as np
    from PIL import Image as PilImage
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return _grey_pixels(np.asarray(image), image.info.get("transparency"))
    try:
        if image.has_transparency_data:
            over = image.convert("RGBA")
            image = PilImage.alpha_composite(PilImage.new("RGBA", image.size, "white"), over)
        return np.asarray(image.convert("RGB"))
    except ValueError as error:
        raise InvalidArgumentError(
            f"a PIL image of mode {image.mode!r} is no picture that can be opened ({error}); convert it to RGB first"
        ) from error


def _grey_pixels(levels: Any, transparent: int | None) -> Any:
    """RGB of grey levels of 16 bits [height, width]: their high byte (Pillow clips them), white where transparent."""
    import numpy as np

    high = (levels >> 8).astype(np.uint8)
    if transparent is not None:
        high[levels == transparent] = 255
    return np.repeat(high[:, :, None], 3, axis=2)
