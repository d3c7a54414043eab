"""The network of a Grounding DINO as an ONNX file, made once for each size of canvas and kept on disk."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vista_fast.errors import InvalidArgumentError, OpError
from vista_fast.models.grounding.caption import Caption
from vista_fast.models.grounding.export_layers import rewrite_layers
from vista_fast.models.grounding.found import PINNED, weight_file
from vista_fast.models.grounding.libraries import transformers_class
from vista_fast.models.onnx_files import onnx_package, share_tensors
from vista_fast.models.part_file import part_file
from vista_fast.models.weights import WEIGHTS, exports_folder, file_digest
from vista_fast.models.weights.store import FOLDER

if TYPE_CHECKING:
    import torch

_REVISION = "4"
"""Raised with every change of what is exported, so that files of before are not taken for it."""
_OPSET = 17
_WHOLE = {WEIGHTS[name].sha256 for name in PINNED.values()}
INPUTS = ("pixels", "covered", "input_ids", "attention_mask", "phrases", "positions")
OUTPUTS = ("logits", "boxes")

_exporting = threading.Lock()


class ExportError(OpError):
    """There is no ONNX file of a model; transformers' own may run."""


def exported(folder: Path, canvas: tuple[int, int]) -> Path:
    """The ONNX file of the model in a folder for canvases of that height and width, exported now if it is not there.

    Batch and number of tokens vary. The weights lie beside it, once for all canvases. However many processes ask, one
    exports.

    Raises:
        InvalidArgumentError: weights are missing in the model's file.
        ExportError: torch can't export a model of this configuration, or it can't be stored.
        MissingExtraError: torch, transformers or onnx is not installed.
    """
    path = exports_folder() / f"{_digest(folder)}-{canvas[0]}x{canvas[1]}.onnx"
    if path.is_file():
        return path
    with _exporting, _one_process(path.with_suffix(".lock")):
        if not path.is_file():
            with part_file(path) as part:
                _export(folder, canvas, part)
    return path


def load_torch(folder: Path) -> Any:
    """The model of transformers, ready to run.

    Raises:
        InvalidArgumentError: its file lacks weights of the network, which transformers would draw by chance.
        MissingExtraError: torch or transformers is not installed.
    """
    # The custom kernel of deformable attention, where there is one, can't be traced. Weights may be stored in f16.
    model, found = transformers_class("GroundingDinoForObjectDetection").from_pretrained(
        folder, local_files_only=True, disable_custom_kernels=True, output_loading_info=True, dtype="float32"
    )
    # The hub's own files are whole, whatever a release of transformers may list.
    if found["missing_keys"] and file_digest(weight_file(folder)) not in _WHOLE:
        raise InvalidArgumentError(
            f"{weight_file(folder)} lacks {len(found['missing_keys'])} tensors of its network, such as "
            f"{min(found['missing_keys'])}; get the model again"
        )
    return model.eval()


def pixel_mask(covered: torch.Tensor, canvas: tuple[int, int]) -> torch.Tensor:
    """int64 [n, H, W], 1 where the image covers the canvas, for heights and widths [n, 2] and on their device."""
    import torch

    rows = torch.arange(canvas[0], device=covered.device) < covered[:, :1]
    columns = torch.arange(canvas[1], device=covered.device) < covered[:, 1:]
    return (rows[:, :, None] & columns[:, None, :]).to(torch.int64)


@lru_cache(maxsize=64)
def _digest(folder: Path) -> str:
    """What the export depends on."""
    import torch
    import transformers

    digest = hashlib.sha256(f"{_REVISION} {_OPSET} {torch.__version__} {transformers.__version__}".encode())
    for path in (folder / "config.json", weight_file(folder)):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()[:24]


def _export(folder: Path, canvas: tuple[int, int], target: Path) -> None:
    import torch

    onnx_package()
    model = load_torch(folder)
    batch, tokens = {0: "n"}, {0: "n", 1: "t"}
    axes = {"pixels": batch, "covered": batch, "logits": batch, "boxes": batch}
    axes |= dict.fromkeys(("input_ids", "attention_mask", "phrases", "positions"), tokens)
    try:
        with torch.inference_mode(), warnings.catch_warnings(), _expanding(), _traceable_captions() as given:
            warnings.simplefilter("ignore")
            rewrite_layers(model)
            torch.onnx.export(
                _network(model, canvas, given),
                _example(canvas),
                str(target),
                dynamo=False,  # the other exporter fixes the batch in Swin's windows
                opset_version=_OPSET,
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
                dynamic_axes=axes,
            )
        share_tensors(target)
    except Exception as error:  # the exporter has classes of its own, and passes on those of the model
        raise ExportError(f"the model in {folder} can't be exported to ONNX: {error}; use backend 'torch'") from error


def _network(model: Any, canvas: tuple[int, int], given: dict[str, Any]) -> torch.nn.Module:
    """The model as a function of INPUTS."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self,
            pixels: torch.Tensor,
            covered: torch.Tensor,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            phrases: torch.Tensor,
            positions: torch.Tensor,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            given["masks"] = phrases[:, :, None] == phrases[:, None, :], positions
            found = self.model(
                pixel_values=pixels,
                pixel_mask=pixel_mask(covered, canvas),
                input_ids=input_ids,
                attention_mask=attention_mask,
            )
            return found.logits, found.pred_boxes

    return Network()


@contextlib.contextmanager
def _traceable_captions() -> Iterator[dict[str, Any]]:
    """Has the model take the masks and positions of a caption as they are given, for ONNX has no way to find them."""
    from transformers.models.grounding_dino import modeling_grounding_dino as modeling

    given: dict[str, Any] = {}
    original = modeling.generate_masks_with_special_tokens_and_transfer_map
    modeling.generate_masks_with_special_tokens_and_transfer_map = _here(lambda *_, **__: given["masks"], original)
    try:
        yield given
    finally:
        modeling.generate_masks_with_special_tokens_and_transfer_map = original


@contextlib.contextmanager
def _expanding() -> Iterator[None]:
    """Has what the model repeats expanded, which is the same for a side of one: OpenVINO 2026.4 repeats last
    dimensions whose size varies in the wrong order."""
    import torch

    original = torch.Tensor.repeat

    def repeat(tensor: torch.Tensor, *times: Any) -> torch.Tensor:
        pairs = list(zip(tensor.shape, times, strict=False))
        if len(times) != tensor.ndim or any(size != 1 and count != 1 for size, count in pairs):
            return original(tensor, *times)
        return tensor.expand(*(-1 if isinstance(count, int) and count == 1 else count for _, count in pairs))

    torch.Tensor.repeat = _here(repeat, original)  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.repeat = original  # type: ignore[method-assign]


def _here(replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """The replacement on this thread, the original on every other, which may run models of its own meanwhile."""
    thread = threading.get_ident()

    def chosen(*values: Any, **named: Any) -> Any:
        return (replacement if threading.get_ident() == thread else original)(*values, **named)

    return chosen


def _example(canvas: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    """Inputs of two calls, to trace with."""
    import torch

    words = Caption.of(np.array([101, 1037, 1012, 1037, 1012, 102])).padded(8)
    inputs = {"pixels": np.zeros((3, *canvas), np.float32), "covered": np.array(canvas), **words}
    return tuple(torch.from_numpy(np.stack([inputs[name]] * 2)) for name in INPUTS)


@contextlib.contextmanager
def _one_process(lock: Path) -> Iterator[None]:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise ExportError(
            f"the export can't be stored in {lock.parent}: {error}; set {FOLDER} to a folder that can be written to, "
            "or use backend 'torch'"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
