"""Whether each network gives on a GPU what it gives on the CPU, for gpu_check; tests marked gpu compare whole Ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gpu_agreement import Agreement

if TYPE_CHECKING:
    from vista_fast.models.backend import Device

Batch = dict[str, Any]
"""An array per input, by name."""


@dataclass(frozen=True)
class Network:
    """A network that is compared.

    Attributes:
        name: of its weights.
        file: of it as ONNX; raises NotFoundError or MissingExtraError where its weights are not here.
        batch: makes inputs for it.
        reader: the library that alone runs it here, on the CPU too; None where all do.
    """

    name: str
    file: Callable[[], Path]
    batch: Callable[[np.random.Generator], Batch]
    reader: str | None = None


def compare_networks(seed: int, device: Device, networks: Sequence[Network] | None = None) -> Iterator[Agreement]:
    """Each network (default: NETWORKS) on each library that runs on the device, with the fastest one on the CPU."""
    from vista_fast.errors import MissingExtraError, NotFoundError, VistaError
    from vista_fast.models import open_model
    from vista_fast.models.backend import Profile

    backends, refusals = backends_on(device)
    if not backends:
        yield Agreement("networks", None, 0, "; ".join(refusals) or "no library of networks is installed")
        return
    for refusal in refusals:
        print(f"networks not compared on {refusal}")
    for network in NETWORKS if networks is None else networks:
        batch = network.batch(np.random.default_rng(seed))
        try:
            path = network.file()
            want = open_model(path, backend=network.reader, device="cpu").run(batch)
        except VistaError as error:
            absent = isinstance(error, (NotFoundError, MissingExtraError))
            yield Agreement(network.name, None, 0, str(error), failed=not absent)
            continue
        profiles = [Profile.covering([{name: array.shape for name, array in batch.items()}])]  # for TensorRT
        for backend in backends:
            if backend != (network.reader or backend):
                continue
            name = f"{network.name} on {backend}"
            try:
                got = open_model(path, backend=backend, device=device, profiles=profiles).run(batch)
            except VistaError as error:
                yield Agreement(name, None, 0, str(error), failed=True)
            else:
                off = float(np.max([np.abs(got[each] - want[each]).max() for each in want]))  # NaN where one is
                yield Agreement(name, off, 1e-2)


def backends_on(device: Device) -> tuple[list[str], list[str]]:
    """Those that are installed and run here, and why each other does not."""
    from vista_fast.errors import VistaError
    from vista_fast.models.backend import available_backends, check_backend

    able, refusals = [], []
    for backend in available_backends(device):
        try:
            check_backend(backend, device)
        except VistaError as error:
            refusals.append(f"{backend}: {error}")
        else:
            able.append(backend)
    return able, refusals


def _weight(name: str) -> Callable[[], Path]:
    def file() -> Path:
        from vista_fast.models.segmentation.plain import plain_encoder
        from vista_fast.models.weights import find_weight

        path = find_weight(name)
        return plain_encoder(path) if path.suffix == ".ort" else path

    return file


def _coco_file() -> Path:
    from vista_fast.models.grounding.coco import network_file

    return network_file()


def _images(name: str, *shape: int) -> Callable[[np.random.Generator], Batch]:
    return lambda random: {name: random.random(shape, np.float32)}


def _prompts(random: np.random.Generator) -> Batch:
    """Four prompts of two points each, on features of no image."""
    from vista_fast.models.segmentation.model import FEATURES

    return {
        **{name: random.standard_normal(shape, np.float32) for name, shape in FEATURES.items()},
        "point_coords": random.uniform(0, 1024, (4, 2, 2)).astype(np.float32),
        "point_labels": random.integers(0, 2, (4, 2)).astype(np.float32),
        "mask_input": np.zeros((4, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
    }


NETWORKS = (
    *(
        Network(name, _weight(name), _images(given, *shape), reader)
        for name, given, shape, reader in (
            ("pp-ocrv6-det-small", "x", (2, 3, 64, 96), None),
            ("pp-ocrv6-rec-small", "x", (4, 3, 48, 192), None),
            ("pp-layout-cdla", "image", (1, 3, 800, 608), None),
            ("slanet-1m", "x", (1, 3, 488, 488), "onnxruntime"),
            ("sam2-hiera-tiny-encoder", "image", (1, 3, 1024, 1024), None),
        )
    ),
    Network("sam2-hiera-tiny-decoder", _weight("sam2-hiera-tiny-decoder"), _prompts),
    Network("nanodet-g-coco", _coco_file, _images("input", 2, 3, 416, 416)),
)
