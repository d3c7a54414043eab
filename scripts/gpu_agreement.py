"""What one comparison of a GPU with the CPU found, for gpu_check."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Agreement:
    """``off`` is what the name says of the difference, else the largest one; None where nothing could be compared, and
    ``why`` says why: what it needs is not here, or it ``failed``."""

    name: str
    off: float | None
    limit: float
    why: str = ""
    failed: bool = False

    @property
    def agrees(self) -> bool | None:
        if self.failed:
            return False
        return None if self.off is None else self.off <= self.limit

    def record(self) -> dict[str, object]:
        return asdict(self) | {"agrees": self.agrees}
