"""The encoder as a plain ONNX file: its own format is ONNX Runtime's, whose loader puts no copies between devices."""

from __future__ import annotations

from pathlib import Path

from vista_fast.errors import StorageError
from vista_fast.models.backend import find_backend
from vista_fast.models.part_file import part_file
from vista_fast.models.weights import exports_folder, file_digest

READER = "onnxruntime"
"""The library that alone reads the file."""
_REVISION = 1
"""Raised with every change of what is written, so that files of before are not taken for it."""


def plain_encoder(path: Path) -> Path:
    """The network of a file in ONNX Runtime's format (``.ort``) as an ONNX file, written now if it is not there.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        StorageError: it can't be written.
    """
    find_backend(READER)
    plain = exports_folder() / f"{path.name.partition('.')[0]}-{_REVISION}-{file_digest(path)[:12]}.onnx"
    if not plain.is_file():
        try:
            with part_file(plain) as part:
                _write(path, part)
        except Exception as error:  # the library has its own classes
            raise StorageError(
                f"{path.name} can't be written as an ONNX file to {plain.parent} ({error}); free 140 MB there, or name "
                "another folder in VISTA_FAST_WEIGHTS"
            ) from error
    return plain


def _write(path: Path, target: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # What it would make of the network is for this CPU.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ONNX")
    onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
