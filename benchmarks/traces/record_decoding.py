"""Records when the shipped policy's trajectories start and how long their turns decode: ``decoding.json``.

    python benchmarks/traces/record_decoding.py

Plays 64 tasks of the suite with 8 trajectories each. Times are in milliseconds from the rollout's start.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from vista_fast.engine import Engine
from vista_fast.rollout import ChatTemplate, TransformersGenerator, rollout
from vista_fast.tasks.mini import load
from vista_fast.train.config import preset
from vista_fast.train.grpo import play_config
from vista_fast.train.policy import load_policy
from vista_fast.train.run import SHIPPED_WEIGHTS
from vista_fast.train.threads import split_threads
from vista_fast.train.toolbox import policy_toolbox

TASKS = 64


def main() -> None:
    config = preset("tiny")
    model, tokenizer = load_policy(SHIPPED_WEIGHTS)
    template = ChatTemplate(tokenizer, merge_size=config.policy.merge_size)
    with Engine() as engine:
        toolbox = policy_toolbox(engine)
        settings = play_config(config.grpo, config.policy, toolbox)
        with TransformersGenerator(model, tokenizer, max_slots=64, threads=split_threads().decoding) as generator:
            played = asyncio.run(rollout(load("train", size=TASKS, seed=1), toolbox, generator, template, settings))
    begun = min(each.turns[0].started for each in played)
    recorded = [
        {
            "start": round(1e3 * (each.turns[0].started - begun)),
            "turns": [round(1e3 * (turn.ended - turn.started)) for turn in each.turns],
        }
        for each in played
    ]
    lines = ",\n".join(json.dumps(each) for each in recorded)
    (Path(__file__).resolve().parent / "decoding.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(recorded)} trajectories, {sum(len(each['turns']) for each in recorded)} turns")


if __name__ == "__main__":
    main()
