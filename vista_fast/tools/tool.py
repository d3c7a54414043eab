"""Tool: what the policy sees, and a coroutine over Ops. CallContext: what a Tool may do during one call."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vista_fast.engine.placing import Placing
from vista_fast.errors import DeadlineExceededError
from vista_fast.types import ErrorKind, Observation, SeenImage, is_placed

if TYPE_CHECKING:
    from vista_fast.engine import Engine, Outcome


class ToolFailure(Exception):
    """A deterministic failure of a call, which the policy reads as an Observation.

    ``message`` is a sentence that a model can act on: what was wrong, the value, and what to write instead.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message


class Tool(ABC):
    """A named action of the policy. Subclass it, set the class attributes, write ``run``.

    Attributes:
        name: what the policy writes; [a-zA-Z0-9_-].
        description: one or two sentences for the model.
        parameters: JSON schema of the arguments: {"type": "object", "properties": ..., "required": [...]}. Properties
            may use type, enum, items, minItems, maxItems, minimum and maximum. An argument named ``target_image``
            of type integer is the number of an image, checked against the images of the call.
        expects: names of the Ops that a call submits first; see ``Toolbox.expect``.
        alias_of: name of the Tool that this one is another way to call; it works wherever that one is offered, and is
            listed only when asked for by name.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[Mapping[str, Any]]
    expects: ClassVar[tuple[str, ...]] = ()
    alias_of: ClassVar[str | None] = None

    @abstractmethod
    async def run(self, call: CallContext, /, *_: Any, **arguments: Any) -> Observation:
        """Answer one call. The arguments come by keyword and have passed ``parameters``; absent ones are not given.

        Raise ToolFailure for what the policy can learn from; let errors of the engine pass. Any other exception is
        taken for a defect: it ends the whole rollout.
        """

    def schema(self) -> dict[str, Any]:
        """The Tool in OpenAI's function format."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


class CallContext:
    """One call of a Tool: its images, and the Ops that it submits under the call's flow, priority and deadline."""

    def __init__(
        self,
        engine: Engine,
        images: Sequence[SeenImage],
        *,
        flow: str | None = None,
        priority: int = 0,
        deadline: float | None = None,
    ) -> None:
        self.images = tuple(images)
        """The images that the policy has seen, in order; number 1 is the first."""
        self._engine = engine
        self._flow = flow
        self._priority = priority
        self._expiry = None if deadline is None else time.monotonic() + deadline
        self._placing = Placing(engine)
        self._outcomes: list[Outcome] = []
        self._admitted = False

    def image(self, number: int | None = None) -> SeenImage:
        """The image of that 1-based number; None is the latest."""
        if not self.images:
            raise ToolFailure("E3", "There is no image to work on. Answer without this tool.")
        if number is None:
            return self.images[-1]
        if not 1 <= number <= len(self.images):
            raise ToolFailure("E3", f"target_image is {number}; it must be a number from 1 to {len(self.images)}.")
        return self.images[number - 1]

    @property
    def next_image(self) -> int:
        """The number that an image given back by this call gets."""
        return len(self.images) + 1

    async def op(self, name: str, image: SeenImage | None = None, **arguments: Any) -> Any:
        """Run one Op and return its result."""
        (result,) = await self.ops(name, [arguments if image is None else {"image": image, **arguments}])
        return result

    async def ops(self, name: str, calls: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Run several calls of one Op together and return their results in order; a failed one's error is raised.

        An image that lies on a device is worked on there by an Op that takes it, and copied to the host, once, for
        others.
        """
        if not calls:
            return []
        seen = [call for call in calls if is_placed(call.get("image"))]
        if seen:
            taken = iter(await self._placing.beside_loop(name, [call["image"] for call in seen]))
            calls = [{**call, "image": next(taken)} if is_placed(call.get("image")) else call for call in calls]
        many = self._engine.submit_many(
            name,
            calls,
            flow=self._flow,
            priority=self._priority,
            deadline=self._remaining(name),
            nested=self._admitted,
        )
        try:
            results: list[Any] = await many
        except BaseException:
            many.cancel()
            raise
        # From here on this call holds what others may wait for, so it never waits for room itself.
        self._admitted = True
        self._outcomes.extend(outcome for outcome in many.outcomes() if outcome is not None)
        return results

    @property
    def outcome(self) -> Outcome:
        """How the Ops so far were answered: "cached" when all were, "joined" when none had to run anew, else "run"."""
        if self._outcomes and all(outcome == "cached" for outcome in self._outcomes):
            return "cached"
        return "joined" if self._outcomes and "run" not in self._outcomes else "run"

    def _remaining(self, name: str) -> float | None:
        if self._expiry is None:
            return None
        remaining = self._expiry - time.monotonic()
        if remaining <= 0:
            raise DeadlineExceededError(f"the call's deadline passed before {name} was submitted; allow it more time")
        return remaining
