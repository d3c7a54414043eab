"""What is known of the weights of one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vista_fast.models.weights.sources import Source


@dataclass(frozen=True, slots=True)
class Weight:
    """A file of weights, and what belongs beside it.

    Attributes:
        name: as users give it.
        file: its name in the local folder.
        sha256: of its bytes, in hexadecimal.
        megabytes: its size with the files beside it, in 10⁶ bytes.
        licence: SPDX identifier of the weights' licence.
        purpose: which Op they serve, and as what.
        sources: where it comes from, in the order in which they are tried.
        beside: more files that the network can't do without, in the same folder: SHA-256 by name.
    """

    name: str
    file: str
    sha256: str
    megabytes: float
    licence: str
    purpose: str
    sources: tuple[Source, ...]
    beside: Mapping[str, str] = field(default_factory=dict, hash=False)
