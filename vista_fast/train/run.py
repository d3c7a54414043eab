"""The jobs that the command line runs: SFT weights, GRPO from them, a table of policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vista_fast.run_folder import RunFolder, whole_folder
from vista_fast.train.config import TrainConfig
from vista_fast.train.metrics import (
    CheckpointSaved,
    CorpusProgress,
    EvalMetrics,
    Event,
    Listener,
    SftMetrics,
    StepTrajectories,
)

if TYPE_CHECKING:
    from vista_fast.tools import Toolbox
    from vista_fast.train.checkpoint import TrainState

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "tiny"
"""The default start of GRPO: what ``vista-fast sft --preset tiny`` makes."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run of GRPO ends with: the table of held-out results, and the folder of the trained weights."""

    table: list[EvalMetrics]
    weights: Path


def train_sft(config: TrainConfig, folder: Path, *, resume: bool = False, on_event: Listener | None = None) -> Path:
    """SFT from random weights on the teacher's demonstrations; returns the folder of the weights, ``folder/weights``.

    Demonstrations and tokenizer are a function of ``config``. With ``resume`` it goes on from the stage's last
    checkpoint in ``folder/checkpoints``, with the same result as an uninterrupted run.
    """
    from vista_fast.rollout import ChatTemplate
    from vista_fast.train.checkpoint import latest_checkpoint, load_checkpoint
    from vista_fast.train.optim import MuonAdamW
    from vista_fast.train.policy import build_policy, save_policy
    from vista_fast.train.sft import build_corpus, corpus_size, new_state, run_sft
    from vista_fast.train.tokenizer import train_tokenizer

    emit = on_event or _ignore
    checkpoints = RunFolder(folder).checkpoints
    with _toolbox(config) as toolbox:
        corpus = build_corpus(config, toolbox, _counted(corpus_size(config.sft), emit))
    tokenizer = train_tokenizer(corpus.texts, vocabulary=config.policy.vocabulary)
    model = build_policy(config.policy, tokenizer, seed=config.seed)
    state = new_state(model, tokenizer, MuonAdamW(model, config.sft.lr), config.seed)
    last = latest_checkpoint(checkpoints, "sft") if resume else None
    if last is not None:
        load_checkpoint(last, state)
    keep = _Checkpoints(checkpoints, "sft", state, config.sft.steps, config.sft.checkpoint_every, emit)
    template = ChatTemplate(tokenizer, merge_size=config.policy.merge_size)

    def on_step(metrics: SftMetrics) -> None:
        emit(metrics)
        keep.after_step()

    run_sft(state, corpus, template, config.sft, on_step=on_step)
    return _write_weights(folder / "weights", lambda partial: save_policy(model, tokenizer, partial))


def train_grpo(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    on_event: Listener | None = None,
) -> TrainResult:
    """GRPO with tools from the weights in ``config.start``, then the table of results.

    The table has base (the same model before any training), SFT (the start) and SFT + GRPO, each with tools (sampled
    and greedy) and without. With ``resume`` it goes on from the last checkpoint in ``folder/checkpoints``.
    """
    from vista_fast.tasks.mini import load
    from vista_fast.train.checkpoint import TrainState, latest_checkpoint, load_checkpoint
    from vista_fast.train.grpo import Grpo, Step
    from vista_fast.train.optim import AdamW
    from vista_fast.train.policy import load_policy, save_policy
    from vista_fast.train.threads import split_threads

    emit = on_event or _ignore
    start = Path(config.start) if config.start is not None else SHIPPED_WEIGHTS
    checkpoints = RunFolder(folder).checkpoints
    model, tokenizer = load_policy(start)
    state = TrainState(0, model, tokenizer, AdamW(model, config.grpo.lr), _rng(config.seed))
    last = latest_checkpoint(checkpoints, "grpo") if resume else None
    if last is not None:
        load_checkpoint(last, state)
    keep = _Checkpoints(checkpoints, "grpo", state, config.grpo.steps, config.grpo.checkpoint_every, emit)

    def on_step(step: Step) -> None:
        emit(StepTrajectories("grpo", step.metrics.step, step.trajectories, step.spans))
        emit(step.metrics)
        keep.after_step()

    if last is not None and state.step == config.grpo.steps and (result := finished(folder, config)):
        return result
    with _toolbox(config) as toolbox:
        reference = load_policy(start)[0] if config.grpo.beta else None
        tasks = load("train", size=config.grpo.train_tasks, seed=config.seed)
        grpo = Grpo(
            state,
            tasks,
            toolbox,
            config.grpo,
            config.policy,
            seed=config.seed,
            decode_threads=split_threads(config.threads).decoding,
            reference=reference,
        )
        grpo.run(on_step)
        weights = _write_weights(folder / "weights", lambda partial: save_policy(model, tokenizer, partial))
        table = _table(config, {"SFT": start, "SFT + GRPO": weights}, toolbox, emit)
    return TrainResult(table, weights)


def evaluate_policies(
    config: TrainConfig, policies: Mapping[str, Path], *, on_event: Listener | None = None
) -> list[EvalMetrics]:
    """The table of held-out results of ``policies`` (name to weights folder), and of the model before any training."""
    with _toolbox(config) as toolbox:
        return _table(config, policies, toolbox, on_event or _ignore)


def _table(config: TrainConfig, policies: Mapping[str, Path], toolbox: Toolbox, emit: Listener) -> list[EvalMetrics]:
    from vista_fast.tasks.mini import load
    from vista_fast.train.evaluate import evaluate
    from vista_fast.train.policy import build_policy, load_policy

    held_out = load("test", size=config.eval.tasks, seed=HELD_OUT_SEED)
    tasks = [held_out[index] for index in range(len(held_out))]
    loaded = {name: load_policy(path) for name, path in policies.items()}
    tokenizer = next(iter(loaded.values()))[1]
    untrained = {UNTRAINED: (build_policy(config.policy, tokenizer, seed=config.seed), tokenizer)}
    table: list[EvalMetrics] = []
    for name, (model, own_tokenizer) in {**untrained, **loaded}.items():
        settings = [(temperature, True) for temperature in config.eval.temperatures]
        for temperature, tools in [*settings, (0.0, False)]:
            metrics, _ = evaluate(
                name, model, own_tokenizer, tasks, toolbox, config, temperature=temperature, tools=tools
            )
            table.append(metrics)
            emit(metrics)
    return table


UNTRAINED = "base"
"""The name in the table of the model before any training."""

HELD_OUT_SEED = 7
"""Every run is measured on the same held-out Tasks."""


class _Checkpoints:
    """Writes a checkpoint every so many steps and after the last."""

    def __init__(
        self, folder: Path, stage: str, state: TrainState, steps: int, every: int, emit: Callable[[Event], None]
    ) -> None:
        self._folder = folder
        self._stage = stage
        self._state = state
        self._steps = steps
        self._every = every
        self._emit = emit

    def after_step(self) -> None:
        from vista_fast.train.checkpoint import save_checkpoint

        step = self._state.step
        if step % self._every == 0 or step == self._steps:
            path = save_checkpoint(self._folder, self._stage, self._state)
            self._emit(CheckpointSaved(self._stage, step, str(path)))


def finished(folder: Path, config: TrainConfig) -> TrainResult | None:
    """The result of a run that has ended, from its folder; None when its evaluation is not complete."""
    weights = folder / "weights"
    # An evaluation that was cut short and begun again has rows twice: the last of each counts.
    rows: dict[tuple[str, bool, float], EvalMetrics] = {}
    for record in RunFolder(folder).metrics("EvalMetrics"):
        row = EvalMetrics(**{key: value for key, value in record.items() if key != "event"})
        rows[row.policy, row.tools, row.temperature] = row
    if not weights.is_dir() or len(rows) < POLICIES * (len(config.eval.temperatures) + 1):
        return None
    return TrainResult(list(rows.values()), weights)


POLICIES = 3
"""Rows of the table for each setting: base, SFT, SFT + GRPO."""


@contextmanager
def _toolbox(config: TrainConfig) -> Iterator[Toolbox]:
    """The policy's tools over an engine of their own; engine, OCR and torch share the thread budget."""
    import torch

    from vista_fast.engine import Engine
    from vista_fast.train.threads import split_threads
    from vista_fast.train.toolbox import policy_toolbox

    threads = split_threads(config.threads)
    torch.set_num_threads(threads.torch)
    with Engine(threads=threads.tools) as engine:
        yield policy_toolbox(engine)


def _counted(total: int, emit: Listener) -> Callable[[], None]:
    """Emits CorpusProgress at every hundredth call, and at the last."""
    done = 0

    def on_done() -> None:
        nonlocal done
        done += 1
        if done % 100 == 0 or done == total:
            emit(CorpusProgress(done, total))

    return on_done


def _write_weights(path: Path, write: Callable[[Path], Any]) -> Path:
    import shutil

    if path.exists():
        shutil.rmtree(path)
    with whole_folder(path) as partial:
        write(partial)
    return path


def _rng(seed: int) -> Any:
    import random

    return random.Random(f"grpo/{seed}")


def _ignore(event: Event) -> None:
    """Nobody listens."""
