"""The PP-OCRv6 small weights that the rapidocr package ships."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from vista_fast.errors import MissingExtraError, NotFoundError

_SHA256 = {
    "PP-OCRv6_det_small.onnx": "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    "PP-OCRv6_rec_small.onnx": "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
}


def detection_weights() -> Path:
    """The detection network, `[N, 3, H, W]` to `[N, 1, H, W]`. Raises MissingExtraError or NotFoundError."""
    return _verified("PP-OCRv6_det_small.onnx")


def recognition_weights() -> Path:
    """The recognition network, `[N, 3, 48, W]` to `[N, T, classes]`. Raises MissingExtraError or NotFoundError."""
    return _verified("PP-OCRv6_rec_small.onnx")


@lru_cache
def _verified(name: str) -> Path:
    # Found without importing rapidocr: only its files are wanted here.
    package = find_spec("rapidocr")
    if package is None or package.origin is None:
        raise MissingExtraError(
            "text reading needs the weights in rapidocr; install them with: pip install 'vista-fast[ocr]'"
        )
    path = Path(package.origin).parent / "models" / name
    if not path.is_file():
        raise NotFoundError(f"{path} is missing; install the release that ships it: pip install rapidocr==3.10.0")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != _SHA256[name]:
        raise NotFoundError(
            f"{path} has SHA-256 {digest[:16]}…, expected {_SHA256[name][:16]}…; "
            "reinstall it: pip install rapidocr==3.10.0"
        )
    return path
