"""Some trajectories to read: which ones, and how a conversation with its images looks."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vista_fast.report.data import StoredStep
from vista_fast.report.markup import escape, tag
from vista_fast.types import CallRecord, SeenImage, Trajectory, Turn, on_host

Box: TypeAlias = tuple[float, float, float, float]
"""(left, top, right, bottom) as shares of an image's width and height."""

_PER_KIND = 4
_LONGEST_SIDE = 448


@dataclass(frozen=True, slots=True)
class Story:
    """A trajectory worth reading: ``kind`` is good, bad or error; ``step`` is the step it is from."""

    kind: str
    step: int
    trajectory: Trajectory


def choose(steps: Sequence[StoredStep]) -> list[Story]:
    """Up to four of each kind, the latest step first, of different families and tasks where there are any.

    good: right, after at least one call where there is one; bad: wrong, without an error; error: a call failed, the
    form is broken, the episode was cut or lost.
    """
    tests: tuple[tuple[str, Callable[[Trajectory], bool]], ...] = (
        ("good", lambda each: each.correct and not _failed(each)),
        ("bad", lambda each: not each.correct and not _failed(each)),
        ("error", _failed),
    )
    stories = []
    for kind, test in tests:
        fitting = [
            Story(kind, stored.step, each) for stored in reversed(steps) for each in stored.trajectories if test(each)
        ]
        stories += _varied(fitting)
    return stories


def draw(stories: Sequence[Story]) -> str:
    """A list to choose from beside a pane to read in; without scripts, all of them one after the other."""
    cards, panes = [], []
    for number, story in enumerate(stories):
        cards.append(_card(story, number))
        panes.append(_pane(story, number))
    filters = "".join(
        tag("button", escape(title), data_filter=kind, class_="on" if kind == "all" else None, type="button")
        for kind, title in (("all", "All"), ("good", "Right"), ("bad", "Wrong"), ("error", "With errors"))
    )
    listing = tag("nav", tag("div", filters, class_="filters"), *cards)
    return tag("div", listing, tag("div", *panes, class_="panes"), class_="stories")


def data_url(image: SeenImage) -> str:
    """The image as a JPEG of at most 448 pixels a side, inline."""
    picture = on_host(image).to_pil()
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _failed(trajectory: Trajectory) -> bool:
    cut = trajectory.status in ("lost", "length_limit", "turn_limit", "stopped")
    malformed = trajectory.reward is not None and trajectory.reward.format < 0
    return cut or malformed or any(turn.call is not None and turn.call.error is not None for turn in trajectory.turns)


def _varied(stories: Sequence[Story]) -> list[Story]:
    """Takes families in turn, trajectories with tool calls before others, each task once while there are others."""
    ranked = sorted(stories, key=lambda story: -min(1, sum(turn.call is not None for turn in story.trajectory.turns)))
    chosen: list[Story] = []
    while ranked and len(chosen) < _PER_KIND:
        families = [story.trajectory.task.family for story in chosen]
        tasks = {story.trajectory.task.id for story in chosen}
        best = min(ranked, key=lambda s: (s.trajectory.task.id in tasks, families.count(s.trajectory.task.family)))
        ranked.remove(best)
        chosen.append(best)
    return chosen


def _card(story: Story, number: int) -> str:
    trajectory = story.trajectory
    reward = "lost" if trajectory.reward is None else f"reward {trajectory.reward.total:g}"
    return tag(
        "button",
        tag("span", class_=f"dot {story.kind}"),
        tag("span", escape(trajectory.task.question), class_="ask"),
        tag("span", escape(f"{trajectory.task.family}, step {story.step}, {reward}"), class_="sub"),
        type="button",
        class_="card" + (" on" if number == 0 else ""),
        data_story=number,
        data_kind=story.kind,
    )


def _pane(story: Story, number: int) -> str:
    trajectory = story.trajectory
    seen = [image for turn in trajectory.turns if turn.observation for image in turn.observation.images]
    own = trajectory.images[: len(trajectory.images) - len(seen)]
    verdict = "right" if trajectory.correct else "wrong"
    facts = [
        _fact("answer", trajectory.answer if trajectory.answer is not None else "none", verdict),
        _fact("truth", trajectory.task.truth),
        _fact("status", trajectory.status),
    ]
    if trajectory.reward is not None:
        parts = trajectory.reward
        facts.append(_fact("reward", f"{parts.total:g}"))
        facts.append(
            _fact("repetition, format, correctness", f"{parts.repetition:g}, {parts.format:g}, {parts.correctness:g}")
        )
    looked = boxes_by_image(trajectory, len(own))
    body = [tag("div", *facts, class_="facts"), _question(trajectory, own, looked)]
    shown = len(own)
    for turn in trajectory.turns:
        body.append(_turn(turn))
        if turn.observation is not None or turn.call is not None:
            body.append(_observation(turn, shown, looked))
            shown += len(turn.observation.images) if turn.observation else 0
    if trajectory.error:
        body.append(tag("div", tag("p", escape(trajectory.error)), class_="bubble tool failed"))
    return tag("article", *body, class_="pane" + (" on" if number == 0 else ""), id=f"story-{number}")


def _fact(name: str, value: str, classes: str | None = None) -> str:
    return tag("span", tag("small", escape(name)), tag("b", escape(value), class_=classes), class_="fact")


def boxes_by_image(trajectory: Trajectory, own: int) -> dict[int, list[Box]]:
    """The boxes that calls pointed at, by the number of the image (from 1), as shares of its width and height.

    ``own`` images belong to the question. A call without ``target_image`` means the latest image at that moment; a box
    with a value above 1 is in pixels. Calls that failed are left out.
    """
    boxes: dict[int, list[Box]] = {}
    latest = own
    for turn in trajectory.turns:
        record = turn.call
        if record is not None and record.call is not None and record.error is None:
            number = record.call.arguments.get("target_image", latest)
            box = record.call.arguments.get("bbox_2d")
            if isinstance(number, int) and 1 <= number <= len(trajectory.images) and isinstance(box, list):
                image = trajectory.images[number - 1]
                boxes.setdefault(number, []).append(_shares(box, image.width, image.height))
        latest += len(turn.observation.images) if turn.observation else 0
    return boxes


def _shares(box: Sequence[float], width: int, height: int) -> Box:
    left, top, right, bottom = (float(side) for side in box)
    if max(box) > 1:
        left, top, right, bottom = left / width, top / height, right / width, bottom / height
    clamp = [min(1.0, max(0.0, side)) for side in (left, top, right, bottom)]
    return clamp[0], clamp[1], clamp[2], clamp[3]


def _question(trajectory: Trajectory, images: Sequence[SeenImage], looked: Mapping[int, Sequence[Box]]) -> str:
    return tag(
        "div",
        tag("header", "question"),
        _pictures(images, 1, looked),
        tag("p", escape(trajectory.task.question)),
        class_="bubble user",
    )


def _turn(turn: Turn) -> str:
    meta = f"policy, {len(turn.token_ids)} tokens in {(turn.ended - turn.started) * 1000:.0f} ms"
    return tag("div", tag("header", escape(meta)), tag("pre", _highlight(turn.text)), class_="bubble policy")


def _observation(turn: Turn, shown: int, looked: Mapping[int, Sequence[Box]]) -> str:
    observation, record = turn.observation, turn.call
    failed = record is not None and record.error is not None
    parts = [tag("header", escape(_call_line(record)))]
    if observation is not None:
        parts.append(_pictures(observation.images, shown + 1, looked))
        if observation.text:
            parts.append(tag("pre", escape(observation.text)))
    return tag("div", *parts, class_="bubble tool" + (" failed" if failed else ""))


def _call_line(record: CallRecord | None) -> str:
    if record is None:
        return "observation"
    name = record.call.name if record.call else "broken call"
    outcome = {"run": "ran", "joined": "joined a flight", "cached": "from cache", "error": "failed"}[record.outcome]
    kind = f" ({record.error.kind})" if record.error else ""
    return f"{name}: {outcome}{kind} in {record.latency * 1000:.0f} ms"


def _pictures(images: Sequence[SeenImage], first: int, looked: Mapping[int, Sequence[Box]]) -> str:
    """The images side by side, numbered as the policy numbers them, each with the boxes that calls pointed at."""
    figures = [_picture(image, number, looked.get(number, ())) for number, image in enumerate(images, first)]
    return tag("div", *figures, class_="pictures") if figures else ""


def _picture(image: SeenImage, number: int, boxes: Sequence[Box]) -> str:
    frames = [
        tag("span", class_="box", style=f"inset:{top:.2%} {1 - right:.2%} {1 - bottom:.2%} {left:.2%}")
        for left, top, right, bottom in boxes
    ]
    shown = f'<img src="{data_url(image)}" alt="image {number}" loading="lazy">'
    caption = f"image {number}, {image.width} × {image.height}" + (", framed: where tools looked" if boxes else "")
    return tag("figure", tag("div", shown, *frames, class_="frame"), tag("figcaption", escape(caption)))


def _highlight(text: str) -> str:
    """The turn's text with its tags dimmed, its call as indented JSON, and its answer set off."""
    pieces = re.split(r"(</?(?:think|tool_call|answer)>)", text)
    inside = ""
    written = []
    for piece in pieces:
        if re.fullmatch(r"</?(?:think|tool_call|answer)>", piece):
            inside = "" if piece.startswith("</") else piece.strip("<>")
            written.append(tag("span", escape(piece), class_="tag"))
        elif piece:
            shown = _pretty(piece) if inside == "tool_call" else piece
            written.append(tag("span", escape(shown), class_=f"in-{inside}" if inside else "loose"))
    return "".join(written)


def _pretty(call: str) -> str:
    """The call as plain JSON; as it is where it can't be read, or has escapes that no file can hold (half a pair)."""
    try:
        pretty = json.dumps(json.loads(call), ensure_ascii=False)
        pretty.encode()
    except (ValueError, RecursionError):
        return call
    return pretty
