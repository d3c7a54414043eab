"""The page: what comes in which order, and the words around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import resources

from vista_fast.report import curves, stories, timeline
from vista_fast.report.curves import Chart, Series, percent
from vista_fast.report.data import Record, RunData, StoredStep
from vista_fast.report.markup import escape, joined, tag
from vista_fast.report.results import Cell, ResultTable, Setting

_FAMILY_COLOURS = ("c1", "c2", "c3", "c4", "c5", "c6", "c7")


def page(run: RunData) -> str:
    """The whole report as one HTML document that needs no network."""
    last = run.steps[-1] if run.steps else None
    sections = [
        _section("results", "Held-out results", _results_note(run.results), _results(run.results)),
        _section("learning", "How it learnt", _learning_note(run.grpo), _curves(_grpo_charts(run.grpo))),
        _section("step", "One step, as it ran", _step_note(last), timeline.draw(last) if last else ""),
        _section("read", "Trajectories to read", _READ_NOTE, _stories(run.steps)),
        _section("sft", "Supervised start", _SFT_NOTE, _curves(_sft_charts(run.sft))),
        _section("settings", "Settings", "", _settings(run.config)),
    ]
    shown = [section for section in sections if section]
    body = [_header(run), tag("main", _figures(run), *shown), tag("div", id="tip", hidden="hidden")]
    return joined(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            tag("title", escape(f"{run.name}: vista_fast")),
            f"<style>{_asset('style.css')}</style></head><body>",
            *body,
            f"<script>{_asset('script.js')}</script></body></html>",
        ]
    )


def _asset(name: str) -> str:
    return (resources.files("vista_fast.report") / name).read_text(encoding="utf-8")


def _header(run: RunData) -> str:
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    about = f"preset {run.config.get('preset', '?')}, seed {run.config.get('seed', '?')}, written {written}"
    theme = tag("button", "Light / dark", id="theme", type="button")
    name = tag("div", tag("span", "vista_fast", class_="mark"), tag("h1", escape(run.name)), tag("p", escape(about)))
    return tag("header", name, theme, class_="top")


def _section(name: str, title: str, note: str, content: str) -> str:
    """A section, or nothing where there is no content."""
    if not content:
        return ""
    head = tag("h2", escape(title)) + (tag("p", note, class_="lead") if note else "")
    return tag("section", head, content, id=name)


# ---- the figures at the top


def _figures(run: RunData) -> str:
    tiles = [*_accuracy_tiles(run.results), *_system_tiles(run)]
    return tag("div", *tiles, class_="tiles") if tiles else ""


def _accuracy_tiles(results: ResultTable) -> list[str]:
    """Last policy against the one before it, and with against without tools, decoded alike where both were measured."""
    settings = [setting for setting in results.settings if setting.tools]
    if not settings:
        return []
    bare = {setting.temperature for setting in results.settings if not setting.tools}
    setting = next((setting for setting in settings if setting.temperature in bare), settings[0])
    with_tools = {name: cell for name in results.policies if (cell := results.cells.get((name, setting)))}
    if not with_tools:
        return []
    names = list(with_tools)
    now = with_tools[names[-1]]
    tiles = []
    if len(names) > 1:
        before = with_tools[names[-2]]
        change = f"{(now.accuracy - before.accuracy) * 100:+.1f} points over {names[-2]} ({percent(before.accuracy)})"
        tiles.append(_tile(f"accuracy {setting.title}", percent(now.accuracy), change, "hero"))
    else:
        tiles.append(_tile(f"accuracy {setting.title}", percent(now.accuracy), names[-1], "hero"))
    without = results.cells.get((names[-1], Setting(False, setting.temperature)))
    if without:
        gain = f"{(now.accuracy - without.accuracy) * 100:+.1f}"
        tiles.append(_tile("what tools bring", gain, f"points by tools ({percent(without.accuracy)} without)"))
    return tiles


def _system_tiles(run: RunData) -> list[str]:
    if not run.grpo:
        return []
    calls = sum(record["calls"] for record in run.grpo)
    saved = sum(record["cache_hits"] + record["flight_joins"] for record in run.grpo)
    rollout = sum(record["rollout_seconds"] for record in run.grpo)
    update = sum(record["update_seconds"] for record in run.grpo)
    exposed = sum(record["exposed"] * record["rollout_seconds"] for record in run.grpo) / max(rollout, 1e-9)
    without_tools = sum(record["rollout_seconds"] / record["makespan_ratio"] for record in run.grpo)
    trajectories = sum(record["trajectories"] for record in run.grpo)
    return [
        _tile("exposed latency", percent(exposed), "of the time in which a tool call was out, nothing decoded"),
        _tile("makespan", f"{rollout / max(without_tools, 1e-9):.2f}×", "that of the same turns with tools in no time"),
        _tile(
            "tool calls", f"{calls:,}", f"{percent(saved / calls) if calls else '0%'} shared: joined a flight or cached"
        ),
        _tile("trajectories", f"{trajectories:,}", f"{_clock(rollout)} of rollout, {_clock(update)} of updates"),
    ]


def _tile(name: str, value: str, note: str, classes: str = "") -> str:
    inside = [tag("small", escape(name)), tag("b", escape(value)), tag("span", escape(note))]
    return tag("div", *inside, class_=f"tile {classes}".strip())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


# ---- the table


def _results_note(results: ResultTable) -> str:
    tasks = sorted({cell.tasks for cell in results.cells.values()})
    lost = sum(cell.lost for cell in results.cells.values())
    text = f"Accuracy and mean reward on {' or '.join(map(str, tasks))} tasks that training never saw."
    return escape(text + (f" {lost} trajectories were lost to infrastructure and not counted." if lost else ""))


def _results(results: ResultTable) -> str:
    if not results.policies:
        return ""
    head = tag("tr", tag("th", "policy"), *(tag("th", escape(setting.title)) for setting in results.settings))
    best = {
        setting: max(cell.accuracy for (_, other), cell in results.cells.items() if other == setting)
        for setting in results.settings
    }
    rows = []
    for policy in results.policies:
        cells = [
            _result(results.cells.get((policy, setting)), best[setting], setting.tools) for setting in results.settings
        ]
        rows.append(tag("tr", tag("th", escape(policy), scope="row"), *cells))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows), class_="results"), class_="card-box scroll")


def _result(cell: Cell | None, best: float, tools: bool) -> str:
    if cell is None:
        return tag("td", "not measured", class_="none")
    bar = tag("i", style=f"width:{cell.accuracy:.1%}", class_="tools" if tools else "bare")
    value = tag("b", f"{cell.accuracy:.1%}", class_="best" if cell.accuracy == best > 0 else None)
    families = ", ".join(f"{name} {percent(share)}" for name, share in sorted(cell.families.items()))
    return tag(
        "td",
        tag("span", value, tag("small", f"reward {cell.reward:.2f}"), class_="pair"),
        tag("span", bar, class_="bar"),
        tag("small", escape(families), class_="families") if families else "",
    )


# ---- the curves


def _learning_note(grpo: Sequence[Record]) -> str:
    if not grpo:
        return ""
    each = f"{grpo[-1]['trajectories']:,} trajectories per step"
    return escape(
        f"{len(grpo)} steps of GRPO, {each}. Faint: each step; bold: running mean. Point at a curve to read it."
    )


def _grpo_charts(records: Sequence[Record]) -> list[Chart]:
    if not records:
        return []
    steps = [record["step"] for record in records]

    def series(name: str, field: str, colour: str) -> Series:
        return Series(name, [_number(record[field]) for record in records], colour)

    families = sorted({name for record in records for name in record.get("families", {})})
    by_family = [
        Series(name, [_number(record.get("families", {}).get(name)) for record in records], colour)
        for name, colour in zip(families, _FAMILY_COLOURS, strict=False)
    ]
    charts = [
        Chart("Reward", steps, [series("reward", "reward", "c1")], "mean per trajectory, -3 to 2", two),
        Chart(
            "Accuracy", steps, [series("accuracy", "accuracy", "c2")], "share of right answers, sampled", percent, 0, 1
        ),
    ]
    if by_family:
        charts.append(Chart("Accuracy by family", steps, by_family, "", percent, 0, 1))
    charts += [
        Chart(
            "Entropy",
            steps,
            [series("of a tool call", "choice_entropy", "c3"), series("per id", "entropy", "c6")],
            "nats; of a call: how open the choice is",
            two,
            0,
        ),
        Chart("Exposed latency", steps, [series("exposed", "exposed", "c5")], "share; lower is better", percent, 0),
        Chart(
            "Makespan",
            steps,
            [series("ratio", "makespan_ratio", "c2")],
            "over that of a replay with tools that take no time",
            two,
        ),
        Chart(
            "Well-formed",
            steps,
            [series("well-formed", "format_rate", "c4")],
            "share of trajectories",
            percent,
            None,
            1,
        ),
        Chart("Tool calls per second", steps, [series("calls", "calls_per_second", "c1")], "of rollout time", whole, 0),
        Chart("Mean batch", steps, [series("batch", "mean_batch", "c2")], "calls per batch of an Op", two, 0),
        Chart(
            "Calls that cost nothing",
            steps,
            [series("from cache", "cache_hits", "c4"), series("joined a flight", "flight_joins", "c3")],
            "per step",
            whole,
            0,
        ),
        Chart(
            "Seconds per step",
            steps,
            [series("rollout", "rollout_seconds", "c1"), series("update", "update_seconds", "c6")],
            "",
            two,
            0,
        ),
        Chart("Turns", steps, [series("turns", "turns", "c6")], "mean per trajectory", two, 1),
        Chart("Gradient norm", steps, [series("norm", "grad_norm", "c7")], "before clipping", two, 0),
    ]
    return charts


def _sft_charts(records: Sequence[Record]) -> list[Chart]:
    if not records:
        return []
    steps = [record["step"] for record in records]
    loss = Series("loss", [_number(record["loss"]) for record in records], "c1")
    accuracy = Series("accuracy", [_number(record["token_accuracy"]) for record in records], "c2")
    rate = Series("rate", [_number(record["lr"]) for record in records], "c6")
    return [
        Chart("Loss", steps, [loss], "nats per id of the teacher's turns", two, 0),
        Chart(
            "Accuracy on ids", steps, [accuracy], "share of the teacher's ids that are the most likely ones", percent
        ),
        Chart("Learning rate", steps, [rate], "", lambda value: f"{value:.1e}" if value else "0", 0),
    ]


def _number(value: float | None) -> float:
    """NaN for what was no number when it was logged."""
    return math.nan if value is None else float(value)


def _curves(charts: Sequence[Chart]) -> str:
    return tag("div", *(curves.draw(chart) for chart in charts), class_="charts") if charts else ""


def two(value: float) -> str:
    """Two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value == value else "none"


def whole(value: float) -> str:
    """No decimals from ten on."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.1f}"


# ---- the step and the stories


def _step_note(stored: StoredStep | None) -> str:
    if stored is None:
        return ""
    trajectories = stored.trajectories
    _, share = timeline.exposed(stored)
    seconds = max(each.ended for each in trajectories) - min(each.started for each in trajectories)
    calls = sum(turn.call is not None for each in trajectories for turn in each.turns)
    return (
        f"Step {stored.step}: {len(trajectories)} trajectories with {calls} tool calls in {seconds:.2f} s. Each row is "
        "a trajectory; while one waits for its tool, the others decode. "
        f"<b>{percent(share)}</b> of the time in which a call was outstanding, nothing was being decoded. "
        "Point at a span to see what it is."
    )


_READ_NOTE = "What the policy wrote, what its tools answered, and what it saw, from the first and the last stored step."
_SFT_NOTE = "The steps before reinforcement learning: the form of a turn, the names of the tools, reading numbers off."


def _stories(steps: Sequence[StoredStep]) -> str:
    chosen = stories.choose(steps)
    return stories.draw(chosen) if chosen else ""


def _settings(config: Record) -> str:
    groups = []
    plain = {name: value for name, value in config.items() if not isinstance(value, dict)}
    for title, values in (
        ("run", plain),
        *((name, value) for name, value in config.items() if isinstance(value, dict)),
    ):
        rows = [tag("tr", tag("th", escape(name)), tag("td", escape(_plain(value)))) for name, value in values.items()]
        groups.append(tag("div", tag("h3", escape(title)), tag("table", *rows), class_="card-box"))
    return tag("div", *groups, class_="settings") if groups else ""


def _plain(value: object) -> str:
    if value is None:
        return "default"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
