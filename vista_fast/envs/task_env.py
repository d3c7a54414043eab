"""TaskEnv: a Gymnasium environment whose actions are the policy's texts."""

from __future__ import annotations

from typing import Any

import gymnasium

from vista_fast.envs.episode import Episode
from vista_fast.envs.spaces import Images, UnicodeText
from vista_fast.envs.stage import Seen, Stage
from vista_fast.errors import InvalidArgumentError
from vista_fast.types import Dataset


class TaskEnv(gymnasium.Env[Any, str]):
    """Plays one Task per episode: the action is a turn's text, the observation ``{"text": str, "images": tuple}``.

    ``reset`` shows the question and its images, ``step`` what the tool called gave back: text, and new images only,
    each uint8 [H, W, 3]. The history is the policy's to keep. The reward is 0 until the episode ends, then the
    trajectory's (``vista_fast.rewards``). An episode that ends with an answer, or without any action, is terminated;
    one that is cut by the turn limit or loses a call to infrastructure is truncated.

    ``info``: "task_id" and "system_prompt" after reset; after a step "status" (None, or as ``TrajectoryStatus``),
    "call" (the CallRecord or None) and "violations"; at the end also "calls" (all records), "answer", "correct" and
    "reward" (its parts). A lost episode has "error" instead and no reward to learn from: leave it out.

    ``reset(options={"index": i})`` plays the dataset's Task ``i``; otherwise the seeded generator draws one. The
    arguments are those of ``Stage``; by default all tools, OCR included, on an engine of the environment's own.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  Gymnasium's own declaration

    def __init__(self, dataset: Dataset | str = "mini", *, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode is not None:
            raise InvalidArgumentError(f"render_mode {render_mode!r} is not supported; observations hold the images")
        self.render_mode = None
        self.observation_space = gymnasium.spaces.Dict({"text": UnicodeText(), "images": Images()})
        self.action_space = UnicodeText()
        self.episode: Episode | None = None
        self._stage = Stage(dataset, **arguments)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(len(self._stage.dataset)))
        self.episode = self._stage.episode((options or {}).get("index", drawn))
        return self._stage.opening(self.episode)

    def step(self, action: str) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        if self.episode is None:
            raise InvalidArgumentError("there is no episode yet; call reset first")
        outcome = self._stage.loop.run(self._stage.step(self.episode, action))
        return outcome.seen, outcome.reward, outcome.terminated, outcome.truncated, outcome.info

    def close(self) -> None:
        self._stage.close()
