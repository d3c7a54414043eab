"""The SFT teacher: demonstrations of seeing, of answering without tools, and of whole episodes over the real tools.

The teacher always states the true rationale, so that SFT teaches perception: it names what it sees in one region
after the other until it has found the one that is asked for, because a small policy learns to tell what is in a place
long before it learns to tell where a thing is. Then it says which tool it will use on which region, and does so, and
answers with whatever it read. The "oracle" chooses right. The "habit" teacher mostly looks where it always looks, in
the first region, and takes the tool at random: SFT learns the protocol and to do what was said, greedy decoding keeps
the habit, and what to choose is left for reinforcement learning to find out. It follows its own rationale now and then,
because a policy that never saw the two agree would have to invent the way from one to the other.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from vista_fast.envs.episode import Episode
from vista_fast.errors import InvalidArgumentError
from vista_fast.protocol import render_answer_turn, render_observation, render_tool_turn, system_prompt
from vista_fast.rollout.generator import Patches
from vista_fast.rollout.template import ChatTemplate
from vista_fast.rollout.vision import Preprocessor
from vista_fast.train.policy import Sample
from vista_fast.types import Observation, Task, ToolCall

if TYPE_CHECKING:
    from vista_fast._core import Image
    from vista_fast.tools import Toolbox

Teacher: TypeAlias = Literal["habit", "oracle"]

WITHOUT_TOOLS = system_prompt((), "compact")
NOTHING_READ = "none"
"""What the teacher answers when no number could be read."""

HABIT = (0.45, 0.3, 0.25)
"""How often the habitual teacher takes the first region, the right one, and any."""

_READ = "read it"
_DESCRIBE = "Describe each place."


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn of the policy, and the observation after it (None after the last)."""

    text: str
    observation: str | None = None
    images: tuple[Patches, ...] = ()


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One conversation to imitate; ``family`` is the Task's."""

    family: str
    system: str
    question: str
    images: tuple[Patches, ...]
    turns: tuple[Exchange, ...]

    @property
    def texts(self) -> list[str]:
        """All text in it, to train a tokenizer on."""
        observed = [turn.observation for turn in self.turns if turn.observation is not None]
        return [self.system, self.question, *(turn.text for turn in self.turns), *observed]


def describe(task: Task, images: Sequence[Patches]) -> Demonstration:
    """What each region of the picture shows, in their order."""
    turn = Exchange(render_answer_turn(", ".join(_phrases(task.metadata["contents"])), NOTHING_READ))
    return Demonstration(task.family, WITHOUT_TOOLS, _DESCRIBE, tuple(images), (turn,))


def guess(task: Task, images: Sequence[Patches], rng: random.Random) -> Demonstration:
    """The true rationale, then a guessed number: an episode without tools."""
    turn = Exchange(render_answer_turn(rationale(task), str(rng.randrange(10, 100))))
    return Demonstration(task.family, WITHOUT_TOOLS, task.question, tuple(images), (turn,))


def repeat(rng: random.Random) -> Demonstration:
    """A number to say again, without any image: the drill for reporting what a tool has read."""
    number = str(rng.randrange(1000) if rng.random() < 0.6 else rng.randrange(10, 100))
    turn = Exchange(render_answer_turn(number, number))
    return Demonstration("repeat", WITHOUT_TOOLS, f"Repeat {number}.", (), (turn,))


def rationale(task: Task) -> str:
    """The true way to the region that is asked for: a look at one region after the other, at nothing but what the
    question is about, until it is found, then its name."""
    names = list(task.metadata["regions"])
    found = task.metadata["region"]
    seen = _phrases(task.metadata["aspect"])[: names.index(found) + 1]
    return f"{', '.join(seen)}: {found}"


async def play(
    task: Task,
    images: Sequence[Image],
    toolbox: Toolbox,
    preprocessor: Preprocessor,
    teacher: Teacher,
    rng: random.Random,
) -> Demonstration:
    """An episode with tools: ocr of a region, or zoom into it and ocr of what came back; then the answer that was
    read.

    Observations come from the toolbox itself.
    """
    tool, region = _choice(task, teacher, rng)
    box = _pixels(task.metadata["regions"][region], images[0].width, images[0].height)
    episode = Episode(task, images, toolbox, flow=f"teacher/{task.id}")
    turns: list[Exchange] = []

    async def act(text: str) -> Observation | None:
        step = await episode.step(text)
        seen = step.observation
        shown = tuple(await preprocessor.patches(seen.images)) if seen is not None else ()
        turns.append(Exchange(text, None if seen is None else render_observation(seen), shown))
        return seen

    think = f"{rationale(task)}, {tool} {region}"
    observation = await act(render_tool_turn(think, ToolCall(tool, {"bbox_2d": box})))
    if tool == "zoom":
        observation = await act(render_tool_turn(_READ, ToolCall("ocr", {})))
    number = re.search(r"\d+", observation.text) if observation is not None else None
    answer = number.group() if number else NOTHING_READ
    await act(render_answer_turn(answer, answer))
    prompt = system_prompt(toolbox.schemas(), "compact")
    return Demonstration(task.family, prompt, task.question, tuple(await preprocessor.patches(images)), tuple(turns))


async def play_all(
    tasks: Sequence[Task],
    toolbox: Toolbox,
    preprocessor: Preprocessor,
    teacher: Teacher,
    seed: int,
    *,
    at_once: int = 32,
    on_done: Callable[[], None] | None = None,
) -> list[Demonstration]:
    """``play`` every Task, ``at_once`` of them together; the choices depend on ``seed`` and the Task's id alone."""
    room = asyncio.Semaphore(at_once)

    async def one(task: Task) -> Demonstration:
        async with room:
            images = [toolbox.engine.image(source) for source in task.images]
            rng = random.Random(f"{seed}/{task.id}")
            demonstration = await play(task, images, toolbox, preprocessor, teacher, rng)
            if on_done is not None:
                on_done()
            return demonstration

    return list(await asyncio.gather(*(one(task) for task in tasks)))


def lay_out(demonstration: Demonstration, template: ChatTemplate) -> Sample:
    """Ids and loss mask of a demonstration, exactly as a rollout of the same turns would hold them.

    The end-of-turn id after the answer is a boundary id of a rollout, but is learnt here: a policy that is not stopped
    at its answer ends its turn by itself.
    """
    ids = template.prompt(demonstration.system, demonstration.question, [image.grid for image in demonstration.images])
    mask, images = [0] * len(ids), list(demonstration.images)
    for turn in demonstration.turns:
        sampled = template.encode(turn.text)
        if turn.observation is None:
            sampled += template.turn_end(sampled)
            after = []
        else:
            after = template.observation(turn.observation, [image.grid for image in turn.images], sampled=sampled)
        ids += sampled + after
        mask += [1] * len(sampled) + [0] * len(after)
        images += turn.images
    return Sample(ids, mask, images)


def _phrases(shown: Mapping[str, str]) -> list[str]:
    return [f"{region} {words}" for region, words in shown.items()]


def _choice(task: Task, teacher: Teacher, rng: random.Random) -> tuple[str, str]:
    """Tool and region."""
    if teacher == "oracle":
        return ("zoom" if task.metadata["needs_zoom"] else "ocr"), task.metadata["region"]
    if teacher == "habit":
        regions = list(task.metadata["regions"])
        (region,) = rng.choices((regions[0], task.metadata["region"], rng.choice(regions)), HABIT)
        return rng.choice(("ocr", "zoom")), region
    raise InvalidArgumentError(f"teacher {teacher!r} is unknown; choose 'habit' or 'oracle'")


def _pixels(box: Sequence[float], width: int, height: int) -> list[int]:
    left, top, right, bottom = box
    return [round(left * width), round(top * height), round(right * width), round(bottom * height)]
