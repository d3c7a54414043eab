"""The PP-OCR weights that reading text takes: by name, or a file of the user's own."""

from __future__ import annotations

from pathlib import Path

from vista_fast.errors import NotFoundError
from vista_fast.models.weights import WEIGHTS, find_weight

DETECTOR = "pp-ocrv6-det-small"
RECOGNISER = "pp-ocrv6-rec-small"
_CHARACTERS = {"pp-ocrv5-rec-mobile": "pp-ocrv5-characters"}


def detection_weights(name: str = DETECTOR) -> Path:
    """The detection network, `[N, 3, H, W]` to `[N, 1, H, W]`. Raises MissingExtraError or NotFoundError."""
    return _file(name)


def recognition_weights(name: str = RECOGNISER) -> Path:
    """The recognition network, `[N, 3, 48, W]` to `[N, T, classes]`. Raises MissingExtraError or NotFoundError."""
    return _file(name)


def character_file(recogniser: str, given: str | None) -> Path | None:
    """The characters of a recognition network's classes, a line each, as given or known by its name; None where its
    own file has them. Raises NotFoundError."""
    name = given or _CHARACTERS.get(recogniser)
    return None if name is None else _file(name, "characters")


def _file(name: str, what: str = "a network") -> Path:
    if name in WEIGHTS:
        return find_weight(name)
    if not Path(name).is_file():
        known = ", ".join(weight.name for weight in WEIGHTS.values() if weight.purpose.startswith("ocr."))
        raise NotFoundError(f"there is no file {name!r} with {what} of PP-OCR; give its path, or one of {known}")
    return Path(name)
