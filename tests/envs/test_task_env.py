"""TaskEnv: one episode at a time through Gymnasium."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import PIL.Image
import pytest
from drawn_tasks import Drawn
from gymnasium.utils.env_checker import check_env

from vista_fast.engine import Engine
from vista_fast.envs import TaskEnv
from vista_fast.errors import DeadlineExceededError, InvalidArgumentError, NotFoundError
from vista_fast.tools import Toolbox
from vista_fast.types import CallRecord, Observation, Reward, Task, ToolCall

ZOOM = '<think>closer</think><tool_call>{"name": "zoom", "arguments": {"bbox_2d": [0, 0, 20, 10]}}</tool_call>'


def answer(text: object) -> str:
    return f"<think>seen</think><answer>{text}</answer>"


@pytest.fixture
def env(drawn: Drawn, toolbox: Toolbox) -> TaskEnv:
    return TaskEnv(drawn, toolbox=toolbox)


def test_an_episode_with_a_tool(env: TaskEnv) -> None:
    seen, info = env.reset(options={"index": 2})
    assert seen in env.observation_space
    assert seen["text"] == "How many? (2) — Größe 数"
    assert [image.shape for image in seen["images"]] == [(32, 40, 3)]
    assert int(seen["images"][0][0, 0, 0]) == 20
    assert info["task_id"] == "drawn/2"
    assert '"zoom"' in info["system_prompt"]

    seen, reward, terminated, truncated, info = env.step(ZOOM)
    assert seen in env.observation_space
    assert "image 2" in seen["text"].lower()
    assert [image.shape for image in seen["images"]] == [(224, 448, 3)]
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["status"] is None
    assert isinstance(info["call"], CallRecord)
    assert info["call"].call == ToolCall("zoom", {"bbox_2d": [0, 0, 20, 10]})
    call = info["call"]

    seen, reward, terminated, truncated, info = env.step(answer(2))
    assert seen in env.observation_space
    assert (reward, terminated, truncated) == (2.0, True, False)
    assert info["status"] == "answered"
    assert info["answer"] == "2"
    assert info["correct"] is True
    assert info["reward"] == Reward(2, 0, 1, 1)
    assert info["calls"] == (call,)


@pytest.mark.parametrize(
    "call",
    [
        '{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [0, 0, 20, 10]}}',
        '{"name": "zoom", "arguments": "{\\"bbox_2d\\": [0, 0, 20, 10]}"}',
        '{"tool": "zoom", "task": "look closer", "arguments": {"bbox_2d": [0, 0, 20, 10]}}',
        '{"tool": "zoom", "parameters": {"bbox_2d": [0, 0, 20, 10]}}',
        '{"tool": "zoom", "bbox_2d": [0, 0, 20, 10]}',
    ],
)
def test_every_shape_of_call_reaches_the_tool(env: TaskEnv, call: str) -> None:
    env.reset(seed=0)
    seen, _, _, _, info = env.step(f"<think>closer</think><tool_call>{call}</tool_call>")
    assert info["call"].error is None
    assert [image.shape for image in seen["images"]] == [(224, 448, 3)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<think>a</think><tool_call>zoom!</tool_call>", "E1"),
        ("<think>a</think><tool_call>" + "[" * 10_000 + "</tool_call>", "E1"),
        ("<think>a</think><tool_call>" + "x" * 1_000_000 + "</tool_call>", "E1"),
        ("<think>a</think><tool_call><tool_call>{}</tool_call></tool_call>", "E1"),
        ('<think>a</think><tool_call>{"name": "zoom"}', "E1"),
        (ZOOM + ZOOM, "E1"),
        (ZOOM.replace("zoom", "enhance"), "E1"),
        (ZOOM.replace("bbox_2d", "bbox"), "E2"),
        (ZOOM.replace("20", '"20"'), "E3"),
        (ZOOM.replace("20, 10", "0, 10"), "E3"),
    ],
    ids=lambda value: value if len(value) == 2 else value[:60],
)
def test_bad_calls_are_observations(env: TaskEnv, text: str, kind: str) -> None:
    env.reset(options={"index": 0})
    seen, _, terminated, truncated, info = env.step(text)
    assert seen["text"].startswith(f"Error {kind}: ")
    assert len(seen["text"]) < 500
    assert seen["images"] == ()
    assert not terminated
    assert not truncated
    assert info["call"].error.kind == kind
    assert env.step(answer(0))[2]


def test_the_turn_limit_truncates(drawn: Drawn, toolbox: Toolbox) -> None:
    env = TaskEnv(drawn, toolbox=toolbox, max_turns=2)
    env.reset(seed=0)
    assert env.step(ZOOM)[2:4] == (False, False)
    _, reward, terminated, truncated, info = env.step(ZOOM)
    assert (reward, terminated, truncated) == (-1.0, False, True)
    assert info["status"] == "turn_limit"


def test_a_turn_without_action_terminates(env: TaskEnv) -> None:
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step("no idea")
    assert (reward, terminated, truncated) == (-1.0, True, False)
    assert info["status"] == "stopped"


def test_the_scheme_of_the_reward(drawn: Drawn, toolbox: Toolbox) -> None:
    env = TaskEnv(drawn, toolbox=toolbox, scheme="sparse")
    env.reset(options={"index": 1})
    assert env.step(answer(3))[1] == 0.0


def test_a_lost_call_truncates_without_a_score(drawn: Drawn, engine: Engine) -> None:
    class Late(Toolbox):
        async def record(self, call: ToolCall, **_: Any) -> tuple[Observation, CallRecord]:
            raise DeadlineExceededError("zoom took longer than 1 s; allow more")

    env = TaskEnv(drawn, toolbox=Late(engine, Toolbox.default(engine).subset(["zoom"])._tools.values()))
    env.reset(seed=0)
    seen, reward, terminated, truncated, info = env.step(ZOOM)
    assert seen in env.observation_space
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["status"] == "lost"
    assert "longer than 1 s" in info["error"]
    assert "reward" not in info


def test_no_tools_at_all(drawn: Drawn, toolbox: Toolbox) -> None:
    env = TaskEnv(drawn, toolbox=toolbox, tools=())
    _, info = env.reset(seed=0)
    assert "tool" not in info["system_prompt"]
    assert env.step(ZOOM)[0]["text"].startswith("Error E1: ")


def test_some_tools_only(drawn: Drawn, toolbox: Toolbox) -> None:
    env = TaskEnv(drawn, toolbox=toolbox, tools=["rotate"])
    _, info = env.reset(seed=0)
    assert '"rotate"' in info["system_prompt"]
    assert '"zoom"' not in info["system_prompt"]


def test_choices_are_lettered(toolbox: Toolbox) -> None:
    class Choices(Drawn):
        def __getitem__(self, index: int, /) -> Task:
            return dataclasses.replace(super().__getitem__(index), question="Which?", choices=("red", "blue"))

    env = TaskEnv(Choices(), toolbox=toolbox)
    assert env.reset(seed=0)[0]["text"] == "Which?\nA. red\nB. blue"


def test_a_changed_observation_changes_no_image(env: TaskEnv) -> None:
    seen, _ = env.reset(options={"index": 3})
    seen["images"][0][:] = 255
    again, _ = env.reset(options={"index": 3})
    assert int(again["images"][0].max()) == 30


def test_seeds_choose_the_task(env: TaskEnv) -> None:
    first = [env.reset(seed=seed)[1]["task_id"] for seed in range(20)]
    assert first == [env.reset(seed=seed)[1]["task_id"] for seed in range(20)]
    assert len(set(first)) > 2


def test_from_within_a_running_loop(env: TaskEnv) -> None:
    async def notebook() -> float:
        env.reset(options={"index": 1})
        env.step(ZOOM)
        return env.step(answer(1))[1]

    assert asyncio.run(notebook()) == 2.0


def test_misuse_is_refused(env: TaskEnv, drawn: Drawn, toolbox: Toolbox) -> None:
    with pytest.raises(InvalidArgumentError, match="reset"):
        env.step(answer(1))
    with pytest.raises(InvalidArgumentError, match="no task 5"):
        env.reset(options={"index": 5})
    env.reset(seed=0)
    env.step(answer(1))
    with pytest.raises(InvalidArgumentError, match="ended"):
        env.step(answer(1))
    with pytest.raises(InvalidArgumentError, match="render_mode"):
        TaskEnv(drawn, toolbox=toolbox, render_mode="human")
    with pytest.raises(InvalidArgumentError, match="no task"):
        TaskEnv(Drawn(0), toolbox=toolbox)
    with pytest.raises(InvalidArgumentError, match="split"):
        TaskEnv(drawn, toolbox=toolbox, split="train")


def test_closing_leaves_a_given_toolbox_open(drawn: Drawn, toolbox: Toolbox) -> None:
    for _ in range(2):
        env = TaskEnv(drawn, toolbox=toolbox)
        env.reset(options={"index": 1})
        env.step(ZOOM)
        env.close()
        env.close()


@pytest.mark.parametrize("shared", [True, False], ids=["given toolbox", "own engine"])
def test_mini_passes_gymnasiums_checks(toolbox: Toolbox, shared: bool) -> None:
    tools: dict[str, Any] = {"toolbox": toolbox} if shared else {"tools": ["zoom"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        env = gymnasium.make("vista_fast/Mini-v0", size=12, **tools)
        check_env(env.unwrapped)
    env.close()


def test_mini_with_its_own_engine_and_ocr() -> None:
    env = gymnasium.make("vista_fast/Mini-v0", size=6, families=["documents"], split="test")
    try:
        env.reset(options={"index": 0})
        seen, _, _, _, info = env.step('<think>read</think><tool_call>{"name": "ocr"}</tool_call>')
        assert info["call"].error is None
        truth = env.unwrapped.episode.task.truth  # type: ignore[attr-defined]
        assert truth in seen["text"]
        assert env.step(answer(truth))[1] == 2.0
    finally:
        env.close()


def test_chartqa(tmp_path: Path, toolbox: Toolbox) -> None:
    folder = tmp_path / "ChartQA Dataset" / "val"
    (folder / "png").mkdir(parents=True)
    PIL.Image.new("RGB", (60, 40), "white").save(folder / "png" / "1.png")
    (folder / "val_human.json").write_text(json.dumps([{"imgname": "1.png", "query": "Total?", "label": "100"}]))
    (folder / "val_augmented.json").write_text("[]")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        env = gymnasium.make("vista_fast/ChartQA-v0", folder=folder.parent, split="val", toolbox=toolbox)
        check_env(env.unwrapped)
    seen, _ = env.reset()
    assert seen["text"] == "Total?"
    assert np.array_equal(seen["images"][0], np.full((40, 60, 3), 255, np.uint8))
    assert env.step(answer(103))[1] == 2.0
    env.close()


def test_chartqa_without_its_files_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="vis-nlp/ChartQA"):
        gymnasium.make("vista_fast/ChartQA-v0", folder=tmp_path / "none")


@pytest.mark.parametrize(
    ("imports", "prefix"),
    [
        ("import gymnasium, vista_fast", ""),
        ("import vista_fast.envs, gymnasium", ""),
        ("import gymnasium", "vista_fast.envs:"),
    ],
)
def test_gymnasium_knows_the_environments(imports: str, prefix: str) -> None:
    code = f"{imports}; print(gymnasium.make('{prefix}vista_fast/Mini-v0', size=1).unwrapped)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "TaskEnv<vista_fast/Mini-v0>" in done.stdout


def test_episodes_do_without_gymnasium() -> None:
    code = "import sys; sys.modules['gymnasium'] = None; from vista_fast.envs import Episode"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_gymnasium_the_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['gymnasium'] = None; from vista_fast.envs import TaskEnv"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtraError: TaskEnv needs gymnasium; pip install 'vista-fast[tasks]'" in done.stderr
