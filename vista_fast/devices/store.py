"""The images that a device holds, within a budget of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vista_fast._core import release_now
from vista_fast.devices.image import DeviceImage
from vista_fast.engine.recent import Recent
from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError, ResourceExhaustedError
from vista_fast.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

    from vista_fast._core import Image


class DeviceStore:
    """DeviceImages by hash, least recently used first out. Any thread may use it.

    Args:
        device: "cuda", "cuda:1", "cpu" or a torch.device.
        budget_bytes: of device memory for pixels. An image that is larger than all of it is given out, not held.

    Raises:
        InvalidArgumentError: no such device, or a budget below 0.
        MissingExtraError: torch is not installed.
    """

    def __init__(self, device: str | torch.device = "cuda", budget_bytes: int = 1 << 30) -> None:
        self.device = _device(device)
        self._images: Recent[DeviceImage] = Recent(budget_bytes)

    def put(self, image: Image) -> DeviceImage:
        """``image`` on the device; copied there unless it is held. ResourceExhaustedError where it does not fit."""
        release_now()  # what calls have held of images that went
        held = self.find(image.hash)
        if held is not None:
            return held
        try:
            return self.hold(DeviceImage(self._upload(image), image.hash, image))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ResourceExhaustedError(
                f"{image!r} does not fit the memory of {self.device} ({error}); give the store a smaller budget_bytes, "
                "or free memory of the device"
            ) from None

    def hold(self, image: DeviceImage) -> DeviceImage:
        """Holds ``image``, and lets go of the least recently used ones that no longer fit. Returns the image of that
        hash that is held, which is an earlier one if there is one.

        Raises InvalidArgumentError when it lies on another device.
        """
        if image.device != self.device:
            raise InvalidArgumentError(f"{image!r} does not lie on {self.device}; hold it in a store of its device")
        return self._images.hold(image.hash, image, image.bytes)

    def find(self, image_hash: str) -> DeviceImage | None:
        """The held image of that hash, now the latest used."""
        return self._images.find(image_hash)

    def get(self, image_hash: str) -> DeviceImage:
        """The held image of that hash; NotFoundError when there is none (any more)."""
        image = self.find(image_hash)
        if image is None:
            raise NotFoundError(
                f"no image with hash {image_hash} is held on {self.device}; put it there again, or give the store a "
                "larger budget_bytes"
            )
        return image

    def stats(self) -> dict[str, int]:
        """How many images are held, their bytes and the budget."""
        return self._images.stats()

    def _upload(self, image: Image) -> torch.Tensor:
        import numpy as np
        import torch

        # A copy: an Image's pixels are read-only, which torch can't express, and pinned memory is its own.
        pixels = torch.from_numpy(np.array(image))
        if self.device.type != "cuda":
            return pixels
        with torch.cuda.device(self.device):  # pinning makes a context on the current one
            return pixels.pin_memory().to(self.device, non_blocking=True)


def _device(given: str | torch.device) -> torch.device:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"images on a device need torch ({error}); pip install torch") from error

    try:
        device = torch.device(given)
    except RuntimeError as error:
        raise InvalidArgumentError(f"device is {given!r}; use 'cuda', 'cuda:N' or 'cpu'") from error
    if device.type == "cuda":
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise InvalidArgumentError(
                f"device is {given!r}, and torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices; "
                "check nvidia-smi, or use 'cpu'"
            )
        return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    if device.type != "cpu":
        raise InvalidArgumentError(f"device is {given!r}; use 'cuda', 'cuda:N' or 'cpu'")
    return torch.device("cpu")
