"""Episode: one Task played through the protocol; the state machine that environments and rollouts share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vista_fast.errors import InvalidArgumentError
from vista_fast.protocol import ParsedTurn, parse_turn
from vista_fast.rewards import DEFAULT_RULE, RepetitionRule, Scheme, reward
from vista_fast.types import CallRecord, Observation, Reward, SeenImage, Task, ToolCall, ToolError, TrajectoryStatus


class RecordsCalls(Protocol):
    """What an Episode needs of a Toolbox."""

    async def record(
        self,
        call: ToolCall,
        /,
        *,
        images: Sequence[SeenImage],
        flow: str | None,
        priority: int,
        deadline: float | None,
    ) -> tuple[Observation, CallRecord]:
        """Makes the call; a deterministic failure is an Observation, an expired or aborted call raises."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn of the policy led to.

    ``observation`` is set when the episode goes on; ``call`` beside it records the call, a broken one too.
    ``status`` is set when ``done``.
    """

    parsed: ParsedTurn
    observation: Observation | None
    call: CallRecord | None
    done: bool
    status: TrajectoryStatus | None


class Episode:
    """One Task, played turn by turn with ``await step(text)``.

    An episode ends with the turn that answers (status "answered"), that neither answers nor calls ("stopped"), or
    that still calls when it is the last of ``max_turns`` ("turn_limit"; that call is not made: nobody would see its
    result). A failure that the policy caused comes back as an Observation with an error. An expired or aborted call,
    or any other exception, ends the episode as "lost" and is raised.

    ``images``: the Task's images, as the policy sees them. ``toolbox``: None leaves the policy without tools. ``flow``:
    the engine's unit of fairness, default the task's id. ``deadline``: seconds that each call may take, default the
    tools' own limits.
    """

    def __init__(
        self,
        task: Task,
        images: Sequence[SeenImage],
        toolbox: RecordsCalls | None,
        *,
        max_turns: int = 3,
        flow: str | None = None,
        priority: int = 0,
        deadline: float | None = None,
    ) -> None:
        if max_turns < 1:
            raise InvalidArgumentError(f"max_turns is {max_turns}; an episode has at least 1 turn")
        self.task = task
        self.images: list[SeenImage] = list(images)
        """The ordered list of all images seen so far: the Task's, then those of observations."""
        self.texts: list[str] = []
        """The policy's turns so far."""
        self.steps: list[Step] = []
        self.max_turns = max_turns
        self.flow = task.id if flow is None else flow
        self.status: TrajectoryStatus | None = None
        self._toolbox = toolbox
        self._priority = priority
        self._deadline = deadline
        self._stepping = False

    @property
    def done(self) -> bool:
        return self.status is not None

    @property
    def answer(self) -> str | None:
        """The final answer; None until there is one."""
        return self.steps[-1].parsed.answer if self.steps else None

    @property
    def correct(self) -> bool:
        """Whether the verifier accepts the final answer, however well-formed the turns were."""
        answer = self.answer
        return answer is not None and self.task.verifier(answer, self.task.truth)

    async def step(self, text: str) -> Step:
        """Takes the policy's next turn, makes its call if it has one, and says how the episode stands."""
        self._begin(text)
        try:
            parsed = parse_turn(text)
            status = self._ending(parsed)
            observation, call = (None, None) if status else await self._observe(parsed)
        except BaseException:
            self.status = "lost"
            raise
        finally:
            self._stepping = False
        if observation is not None:
            self.images.extend(observation.images)
        self.status = status
        step = Step(parsed, observation, call, done=status is not None, status=status)
        self.steps.append(step)
        return step

    def cut(self, status: Literal["turn_limit", "length_limit"], text: str | None = None) -> None:
        """Ends the episode from outside, because the context or the response has no room left.

        ``text``: the turn that was cut off, which is scored for repetition but neither answers nor calls.
        """
        if self.done or self._stepping:
            raise InvalidArgumentError(f"the episode of task {self.task.id!r} {self._state()}; it can't be cut")
        if text is not None:
            self.texts.append(text)
        self.status = status

    def score(self, scheme: Scheme = "paper", *, rule: RepetitionRule = DEFAULT_RULE) -> Reward:
        """The reward of the ended episode; a lost one has none and raises InvalidArgumentError."""
        if not self.done or self.status == "lost":
            raise InvalidArgumentError(f"the episode of task {self.task.id!r} {self._state()}; it has no reward")
        cut = self.status in ("turn_limit", "length_limit")
        return reward(self.texts, self.task.truth, self.task.verifier, scheme=scheme, rule=rule, cut=cut)

    def _begin(self, text: str) -> None:
        if self.done or self._stepping:
            raise InvalidArgumentError(f"the episode of task {self.task.id!r} {self._state()}; it takes no turn now")
        self.texts.append(text)
        self._stepping = True

    def _state(self) -> str:
        if self._stepping:
            return "is still waiting for its last call"
        return f"has ended ({self.status})" if self.done else "has not ended"

    def _ending(self, parsed: ParsedTurn) -> TrajectoryStatus | None:
        """The status with which this turn ends the episode, or None when it goes on."""
        if not parsed.calls:
            return "stopped" if parsed.answer is None else "answered"
        return "turn_limit" if len(self.texts) >= self.max_turns else None

    async def _observe(self, parsed: ParsedTurn) -> tuple[Observation, CallRecord]:
        if parsed.tool_call is None:
            assert parsed.call_error is not None
            return _refused(None, parsed.call_error)
        if self._toolbox is None:
            return _refused(parsed.tool_call, ToolError("E1", "There are no tools here. Answer with <answer>."))
        return await self._toolbox.record(
            parsed.tool_call,
            images=tuple(self.images),
            flow=self.flow,
            priority=self._priority,
            deadline=self._deadline,
        )


def _refused(call: ToolCall | None, error: ToolError) -> tuple[Observation, CallRecord]:
    """What comes back of a call that no tool ever sees."""
    now = time.monotonic()
    return Observation(text=error.message, error=error), CallRecord(call, now, now, "error", error)
