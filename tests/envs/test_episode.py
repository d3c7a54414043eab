"""Episode: how one Task goes from turn to turn, and how it ends."""

import asyncio
import time
from typing import Any

import pytest

from vista_fast.envs.episode import Episode
from vista_fast.errors import AbortedError, DeadlineExceededError, InvalidArgumentError
from vista_fast.types import CallRecord, Observation, Reward, Task, ToolCall, ToolError

CALL = '<think>look</think><tool_call>{"name": "crop", "arguments": {"at": 3}}</tool_call>'
RIGHT = "<think>seen</think><answer>42</answer>"
WRONG = "<think>seen</think><answer>41</answer>"
TASK = Task("t1", "made", "made", "What?", (), "42", lambda answer, truth: answer == truth)


class Crops:
    """Answers every call with one more image, and remembers what it was asked."""

    def __init__(self, raises: BaseException | None = None, error: ToolError | None = None) -> None:
        self.asked: list[tuple[ToolCall, dict[str, Any]]] = []
        self.raises = raises
        self.error = error
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, call: ToolCall, /, **context: Any) -> tuple[Observation, CallRecord]:
        self.asked.append((call, context))
        await self.gate.wait()
        if self.raises is not None:
            raise self.raises
        now = time.monotonic()
        if self.error is not None:
            return Observation(self.error.message, error=self.error), CallRecord(call, now, now, "error", self.error)
        image = f"image {len(context['images']) + 1}"
        return Observation("a crop", (image,)), CallRecord(call, now, now, "run")  # type: ignore[arg-type]


def episode(toolbox: Crops | None, **options: Any) -> Episode:
    return Episode(TASK, ["image 1"], toolbox, **options)  # type: ignore[list-item, arg-type]


async def test_from_the_question_to_the_answer() -> None:
    toolbox = Crops()
    played = episode(toolbox, flow="f", priority=2, deadline=1.5)
    first = await played.step(CALL)
    assert not first.done
    assert first.status is None
    assert first.observation is not None
    assert first.observation.text == "a crop"
    assert first.call is not None
    assert first.call.outcome == "run"
    assert played.images == ["image 1", "image 2"]
    assert toolbox.asked == [
        (ToolCall("crop", {"at": 3}), {"images": ("image 1",), "flow": "f", "priority": 2, "deadline": 1.5})
    ]
    last = await played.step(RIGHT)
    assert last.done
    assert last.status == played.status == "answered"
    assert last.observation is None
    assert played.answer == "42"
    assert played.correct
    assert played.texts == [CALL, RIGHT]
    assert played.score() == Reward(2, 0, 1, 1)
    assert played.score("dense") == Reward(1, 0, 1, 1)


async def test_each_call_sees_the_images_of_those_before() -> None:
    toolbox = Crops()
    played = episode(toolbox)
    await played.step(CALL)
    await played.step(CALL)
    assert [context["images"] for _, context in toolbox.asked] == [("image 1",), ("image 1", "image 2")]
    assert played.images == ["image 1", "image 2", "image 3"]


async def test_a_wrong_answer() -> None:
    played = episode(None)
    await played.step(WRONG)
    assert not played.correct
    assert played.score() == Reward(1, 0, 1, 0)


async def test_a_turn_without_action_stops_the_episode() -> None:
    played = episode(Crops())
    step = await played.step("I don't know")
    assert step.done
    assert step.status == "stopped"
    assert played.answer is None
    assert not played.correct
    assert played.score() == Reward(-1, 0, -1, 0)


async def test_a_call_in_the_last_turn_is_not_made() -> None:
    toolbox = Crops()
    played = episode(toolbox, max_turns=2)
    await played.step(CALL)
    step = await played.step(CALL)
    assert step.status == "turn_limit"
    assert step.observation is None
    assert step.call is None
    assert len(toolbox.asked) == 1
    assert played.score() == Reward(-1, 0, -1, 0)


async def test_an_answer_in_the_last_turn_counts() -> None:
    played = episode(Crops(), max_turns=1)
    assert (await played.step(RIGHT)).status == "answered"


async def test_a_broken_call_comes_back_as_an_observation() -> None:
    toolbox = Crops()
    played = episode(toolbox)
    step = await played.step("<think>a</think><tool_call>crop it</tool_call>")
    assert not step.done
    assert toolbox.asked == []
    assert step.observation is not None
    assert step.observation.error is not None
    assert step.observation.error.kind == "E1"
    assert step.observation.text == step.observation.error.message
    assert step.call is not None
    assert step.call.call is None
    assert step.call.outcome == "error"
    assert step.call.error == step.observation.error
    await played.step(RIGHT)
    assert played.score() == Reward(2, 0, 1, 1)


async def test_a_failure_of_the_policys_making_comes_back_as_an_observation() -> None:
    error = ToolError("E3", "at must be 1 or 2.")
    played = episode(Crops(error=error))
    step = await played.step(CALL)
    assert not step.done
    assert step.observation is not None
    assert step.observation.error == error
    assert played.images == ["image 1"]


async def test_without_tools_a_call_is_told_so() -> None:
    step = await episode(None).step(CALL)
    assert not step.done
    assert step.observation is not None
    assert step.observation.error is not None
    assert step.observation.error.kind == "E1"
    assert step.call is not None
    assert step.call.call == ToolCall("crop", {"at": 3})


@pytest.mark.parametrize("raises", [DeadlineExceededError("late"), AbortedError("gone"), ValueError("a bug")])
async def test_lost_infrastructure_raises_and_is_never_scored(raises: Exception) -> None:
    played = episode(Crops(raises))
    with pytest.raises(type(raises)):
        await played.step(CALL)
    assert played.done
    assert played.status == "lost"
    assert played.answer is None
    with pytest.raises(InvalidArgumentError, match="lost"):
        played.score()
    with pytest.raises(InvalidArgumentError, match="lost"):
        await played.step(RIGHT)


async def test_a_cancelled_step_loses_the_episode() -> None:
    toolbox = Crops()
    toolbox.gate.clear()
    played = episode(toolbox)
    step = asyncio.ensure_future(played.step(CALL))
    while not toolbox.asked:
        await asyncio.sleep(0)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert played.status == "lost"


async def test_an_ended_episode_takes_no_turn() -> None:
    played = episode(None)
    await played.step(RIGHT)
    with pytest.raises(InvalidArgumentError, match="ended"):
        await played.step(RIGHT)
    assert played.texts == [RIGHT]


async def test_one_turn_at_a_time() -> None:
    toolbox = Crops()
    toolbox.gate.clear()
    played = episode(toolbox)
    first = asyncio.ensure_future(played.step(CALL))
    while not toolbox.asked:
        await asyncio.sleep(0)
    with pytest.raises(InvalidArgumentError, match="waiting"):
        await played.step(CALL)
    toolbox.gate.set()
    assert not (await first).done
    assert played.texts == [CALL]


async def test_an_episode_without_end_has_no_reward() -> None:
    played = episode(Crops())
    await played.step(CALL)
    with pytest.raises(InvalidArgumentError, match="has not ended"):
        played.score()


async def test_cut_from_outside() -> None:
    played = episode(Crops())
    await played.step(CALL)
    played.cut("length_limit")
    assert played.status == "length_limit"
    assert played.score() == Reward(-1, 0, -1, 0)
    with pytest.raises(InvalidArgumentError, match="length_limit"):
        played.cut("length_limit")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RIGHT[:-3], Reward(-1, 0, -1, 0)),
        (RIGHT, Reward(-1, 0, -1, 0)),  # the end-of-turn token is missing, so the turn was still going on
        ("<think>" + "wait " * 30, Reward(-3, -3, 0, 0)),
    ],
)
async def test_a_turn_cut_off_by_length_is_scored_for_repetition_only(text: str, expected: Reward) -> None:
    played = episode(Crops())
    await played.step(CALL)
    played.cut("length_limit", text)
    assert played.texts == [CALL, text]
    assert played.answer is None
    assert not played.correct
    assert played.score() == expected


def test_an_episode_has_a_turn() -> None:
    with pytest.raises(InvalidArgumentError, match="max_turns is 0"):
        episode(None, max_turns=0)
