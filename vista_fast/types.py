"""Plain records that every layer shares: the floor of the Python house."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeGuard, cast, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import PIL.Image
    import torch

    from vista_fast._core import Image

ImageSource: TypeAlias = "Path | str | bytes | PIL.Image.Image | npt.NDArray[np.uint8] | torch.Tensor | Image"
"""What ``Engine.image`` takes: a path, encoded bytes, a data URL, a PIL image, a uint8 array [H, W, 3], a uint8 torch
tensor [3, H, W], an Image."""


class PlacedImage(Protocol):
    """A picture in the memory of a device, such as ``vista_fast.devices.DeviceImage``; sizes in pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def hash(self) -> str: ...
    @property
    def device(self) -> Any: ...
    def to_host(self) -> Image: ...


SeenImage: TypeAlias = "Image | PlacedImage"
"""What a policy sees: on the host, or on a device when the images that it was given lie there."""


def is_placed(image: object) -> TypeGuard[PlacedImage]:
    """Whether the pixels lie on a device."""
    return hasattr(image, "to_host") and hasattr(image, "hash")


def on_host(image: SeenImage) -> Image:
    """The image itself, or a copy of one that lies on a device, for which this waits."""
    return image.to_host() if is_placed(image) else cast("Image", image)


Verifier: TypeAlias = Callable[[str, str], bool]
"""``verifier(answer, truth)``: whether the answer counts as right."""

ErrorKind: TypeAlias = Literal["E1", "E2", "E3", "E5"]
"""What a program can tell of a failed call: E1 broken call structure (or unknown tool), E2 wrong argument name,
E3 argument of the wrong type or range, E5 tool output not usable."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as the policy wrote it."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolError:
    """A deterministic failure of a call: its kind, and a sentence that a model can act on."""

    kind: ErrorKind
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a tool call gives back to the policy: text, images, or a typed error.

    On an error ``text`` holds the error's sentence and ``images`` is empty.
    """

    text: str = ""
    images: tuple[SeenImage, ...] = ()
    error: ToolError | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A question over images with a truth that a program can check."""

    id: str
    dataset: str
    family: str
    question: str
    images: tuple[ImageSource, ...]
    truth: str
    verifier: Verifier
    choices: tuple[str, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Dataset(Protocol):
    """An indexed, deterministic collection of Tasks: item ``i`` is the same Task every time it is asked for."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Task: ...


@dataclass(slots=True)
class CallRecord:
    """One tool call of a Turn. Times are seconds on ``time.monotonic``'s clock."""

    call: ToolCall | None
    submitted: float
    completed: float
    outcome: Literal["run", "joined", "cached", "error"]
    error: ToolError | None = None

    @property
    def latency(self) -> float:
        """Seconds from submission to completion."""
        return self.completed - self.submitted


@dataclass(slots=True)
class Turn:
    """One generation of the policy and what came back. Times are seconds on ``time.monotonic``'s clock."""

    text: str
    token_ids: list[int]
    logprobs: list[float]
    weight_version: int
    started: float
    ended: float
    call: CallRecord | None = None
    observation: Observation | None = None


TrajectoryStatus: TypeAlias = Literal["answered", "stopped", "turn_limit", "length_limit", "lost"]
"""answered: the last turn answers; stopped: the last turn neither answers nor calls; turn_limit and length_limit: cut;
lost: infrastructure failed (an expired or aborted call), so the trajectory is masked out and never scored."""


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of a trajectory and its parts (see ``vista_fast.rewards``)."""

    total: float
    repetition: float
    format: float
    correctness: float


@dataclass(slots=True)
class Trajectory:
    """The record of one Episode.

    ``ids``, ``mask`` and ``logprobs`` have one length: the prompt, then for each Turn its sampled ids, the chat
    template's boundary ids and the observation's ids. ``mask`` is 1 on sampled ids and 0 elsewhere; ``logprobs`` is
    the sampler's log-probability (at the sampling temperature) where ``mask`` is 1, else 0.0. ``images`` is the one
    ordered list that generation saw and training sees again: the Task's images, then those of observations.
    """

    task: Task
    flow: str
    group: str
    status: TrajectoryStatus
    ids: list[int]
    mask: list[int]
    logprobs: list[float]
    images: list[SeenImage]
    turns: list[Turn]
    answer: str | None
    reward: Reward | None
    correct: bool
    started: float
    ended: float
    error: str | None = None
