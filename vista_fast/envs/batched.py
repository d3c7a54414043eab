"""BatchedEnv: many episodes stepped at once, whose tool calls meet in one engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from vista_fast.envs.episode import Episode
from vista_fast.envs.spaces import Images, UnicodeText
from vista_fast.envs.stage import Outcome, Seen, Stage
from vista_fast.errors import InvalidArgumentError
from vista_fast.types import Dataset


class BatchedEnv(VectorEnv[Any, Any, Any]):
    """``num_envs`` episodes of one ``Stage`` in Gymnasium's vector form; what each sees is as in ``TaskEnv``.

    ``step`` takes a text per episode and makes all their calls together, so that the engine batches the alike ones and
    runs the equal ones once. Observations are ``{"text": (str, ...), "images": ((array, ...), ...)}``.

    An ended episode is replaced with the next step, whose text for it is ignored (autoreset "NextStep"). With
    ``autoreset_mode=AutoresetMode.DISABLED`` it stays as it ended, its text is ignored and its reward is 0, until
    ``reset(options={"reset_mask": mask})`` replaces the masked ones. ``reset(options={"indices": [...]})`` says which
    Tasks to play, as many as episodes start; a Task may stand there several times, for instance once for each member of
    a Group.
    """

    def __init__(
        self,
        dataset: Dataset | str = "mini",
        *,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        mode = AutoresetMode(autoreset_mode)
        if mode is AutoresetMode.SAME_STEP or render_mode is not None:
            raise InvalidArgumentError(
                f"{autoreset_mode=} with {render_mode=} is not supported; take NEXT_STEP or DISABLED and no render_mode"
            )
        if num_envs < 1:
            raise InvalidArgumentError(f"num_envs is {num_envs}; there must be at least 1 episode")
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.single_observation_space = gymnasium.spaces.Dict({"text": UnicodeText(), "images": Images()})
        self.single_action_space = UnicodeText()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.episodes: dict[int, Episode] = {}
        """The episode that each place, from 0, plays now."""
        self._autoreset = mode is AutoresetMode.NEXT_STEP
        self._row = [Outcome(Seen(text="", images=()), 0.0, False, False, {})] * num_envs
        self._stage = Stage(dataset, **arguments)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        options = options or {}
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise InvalidArgumentError(f"reset_mask must be {self.num_envs} booleans, got {mask!r}")
        if not self.episodes and not mask.all():
            raise InvalidArgumentError("there are no episodes yet; reset all of them first")
        started = self._start([int(place) for place in np.flatnonzero(mask)], options.get("indices"))
        return self._together(), self._infos(started)

    def step(
        self, actions: Sequence[str]
    ) -> tuple[Any, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        if not self.episodes:
            raise InvalidArgumentError("there are no episodes yet; call reset first")
        if len(actions) != self.num_envs:
            raise InvalidArgumentError(f"got {len(actions)} texts for {self.num_envs} episodes; give one for each")
        playing = [place for place in range(self.num_envs) if not self.episodes[place].done]
        ended = [place for place in range(self.num_envs) if self.episodes[place].done]
        for place, outcome in zip(playing, self._stage.loop.run(self._play(playing, actions)), strict=True):
            self._row[place] = outcome
        if self._autoreset:
            self._start(ended)
        else:
            for place in ended:
                terminated = self._row[place].terminated
                self._row[place] = Outcome(Seen(text="", images=()), 0.0, terminated, not terminated, {})
        return (
            self._together(),
            np.array([outcome.reward for outcome in self._row]),
            np.array([outcome.terminated for outcome in self._row]),
            np.array([outcome.truncated for outcome in self._row]),
            self._infos(range(self.num_envs)),
        )

    def close_extras(self, **kwargs: Any) -> None:
        self._stage.close()

    def _start(self, places: Sequence[int], indices: Sequence[int] | None = None) -> Sequence[int]:
        """Begins a new episode at each of the places, of the given Tasks or of ones drawn."""
        drawn = self.np_random.integers(len(self._stage.dataset), size=len(places)) if indices is None else indices
        if len(drawn) != len(places):
            raise InvalidArgumentError(f"got {len(drawn)} indices for {len(places)} episodes that start")
        for place, index in zip(places, drawn, strict=True):
            self.episodes[place] = self._stage.episode(int(index))
            seen, info = self._stage.opening(self.episodes[place])
            self._row[place] = Outcome(seen, 0.0, False, False, info)
        return places

    async def _play(self, places: Sequence[int], actions: Sequence[str]) -> list[Outcome]:
        turns = (self._stage.step(self.episodes[place], actions[place]) for place in places)
        results = await asyncio.gather(*turns, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    def _together(self) -> dict[str, Any]:
        """The latest of what each place saw, batched as the observation space says."""
        return {
            "text": tuple(outcome.seen["text"] for outcome in self._row),
            "images": tuple(outcome.seen["images"] for outcome in self._row),
        }

    def _infos(self, places: Sequence[int]) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for place in places:
            infos = self._add_info(infos, self._row[place].info, place)
        return infos
