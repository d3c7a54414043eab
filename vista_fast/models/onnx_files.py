"""ONNX files that are made on this machine: the package that writes them, and tensors that several of them share."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from vista_fast.errors import MissingExtraError
from vista_fast.models.part_file import part_file

_SHARED = "tensors"
_SMALLEST = 4096
"""Bytes of a tensor that is worth a file of its own."""


def onnx_package() -> Any:
    """The package onnx. Raises MissingExtraError where it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(
            "making an ONNX file needs onnx, which is not installed: pip install 'vista-fast[grounding]'"
        ) from error
    return onnx


def share_tensors(path: Path) -> None:
    """Moves the large tensors of an ONNX file into files of their own in the folder ``tensors`` beside it.

    Each is named by the SHA-256 of its bytes, so that ONNX files in one folder hold equal tensors once, whatever they
    call them. A tensor's file is whole before its name appears; the ONNX file itself is written in place.

    Raises:
        MissingExtraError: the package onnx is not installed.
    """
    onnx = onnx_package()
    model = onnx.load(str(path), load_external_data=False)
    folder = path.parent / _SHARED
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= _SMALLEST:
            name = _stored(tensor.raw_data, folder)
            onnx.external_data_helper.set_external_data(tensor, f"{_SHARED}/{name}", 0, len(tensor.raw_data))
            tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())


def _stored(content: bytes, folder: Path) -> str:
    name = hashlib.sha256(content).hexdigest()
    target = folder / name
    if not target.is_file() or target.stat().st_size != len(content):
        with part_file(target) as part:
            part.write_bytes(content)
    return name
