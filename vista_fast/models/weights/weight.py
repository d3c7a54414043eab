"""What is known of one file of weights."""

from __future__ import annotations

from dataclasses import dataclass

from vista_fast.models.weights.sources import Source


@dataclass(frozen=True, slots=True)
class Weight:
    """A file of weights.

    Attributes:
        name: as users give it.
        file: its name in the local folder.
        sha256: of its bytes, in hexadecimal.
        megabytes: its size, in 10⁶ bytes.
        licence: SPDX identifier of the weights' licence.
        purpose: which Op they serve, and as what.
        sources: where it comes from, in the order in which they are tried.
    """

    name: str
    file: str
    sha256: str
    megabytes: float
    licence: str
    purpose: str
    sources: tuple[Source, ...]
