"""Checkpoints are whole or not there, and a run that was killed ends where an undisturbed one does."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import MICRO, micro_corpus

from vista_fast.errors import StorageError
from vista_fast.rollout import ChatTemplate
from vista_fast.train.checkpoint import TrainState, latest_checkpoint, load_checkpoint, save_checkpoint
from vista_fast.train.config import SftConfig
from vista_fast.train.optim import MuonAdamW
from vista_fast.train.policy import build_policy
from vista_fast.train.sft import run_sft
from vista_fast.train.tokenizer import train_tokenizer

STEPS = SftConfig(look_steps=6, look_batch=4, play_steps=6, play_batch=4)


def new_state() -> TrainState:
    tokenizer = train_tokenizer(micro_corpus().texts, vocabulary=MICRO.vocabulary)
    model = build_policy(MICRO, tokenizer, seed=1)
    return TrainState(0, model, tokenizer, MuonAdamW(model, 2e-3), random.Random(5))


def train(state: TrainState, folder: Path, *, die_at: int | None = None) -> None:
    """SFT with a checkpoint every second step; ``die_at`` ends the process on the spot, as kill -9 does."""

    def on_step(metrics):
        if state.step % 2 == 0:
            save_checkpoint(folder, "sft", state)
        if state.step == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    run_sft(state, micro_corpus(), ChatTemplate(state.tokenizer), STEPS, on_step=on_step)


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    torch.set_num_threads(1)
    undisturbed = new_state()
    train(undisturbed, tmp_path / "a")

    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from test_checkpoint import new_state, train\n"
        f"train(new_state(), Path({str(tmp_path / 'b')!r}), die_at=7)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL

    last = latest_checkpoint(tmp_path / "b", "sft")
    assert last is not None
    assert last.name == "sft-000006"
    resumed = new_state()
    load_checkpoint(last, resumed)
    assert resumed.step == 6
    train(resumed, tmp_path / "b")
    for name, value in undisturbed.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, atol=1e-6, rtol=1e-5, msg=name)
    assert resumed.rng.getstate() == undisturbed.rng.getstate()


def test_checkpoint_holds_all_that_changes(model, tokenizer, folder):
    state = TrainState(3, model, tokenizer, MuonAdamW(model, 1e-3), random.Random(1))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    state.optimiser.step()
    state.rng.random()
    path = save_checkpoint(folder, "grpo", state)
    expected = (torch.rand(1), state.rng.random())

    other = build_policy(MICRO, tokenizer, seed=2)
    back = TrainState(0, other, tokenizer, MuonAdamW(other, 1e-3), random.Random(2))
    load_checkpoint(path, back)
    assert back.step == 3
    assert (torch.rand(1), back.rng.random()) == expected
    for mine, theirs in zip(state.optimiser.state_dict()["parts"], back.optimiser.state_dict()["parts"], strict=True):
        torch.testing.assert_close(mine["state"], theirs["state"])


def test_only_the_latest_are_kept(model, tokenizer, folder):
    state = TrainState(0, model, tokenizer, MuonAdamW(model, 1e-3), random.Random(1))
    for step in (1, 2, 10):
        state.step = step
        save_checkpoint(folder, "sft", state)
    state.step = 4
    save_checkpoint(folder, "grpo", state)
    assert sorted(path.name for path in folder.iterdir()) == ["grpo-000004", "sft-000002", "sft-000010"]
    assert latest_checkpoint(folder, "sft") == folder / "sft-000010"
    assert latest_checkpoint(folder, "eval") is None


def test_a_full_disk_leaves_the_last_checkpoint_and_no_part_of_the_next(model, tokenizer, folder):
    state = TrainState(1, model, tokenizer, MuonAdamW(model, 1e-3), random.Random(1))
    whole = save_checkpoint(folder, "sft", state)
    state.step = 2
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="could not be written"):
            save_checkpoint(folder, "sft", state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path.name for path in folder.iterdir()] == [whole.name]
    assert latest_checkpoint(folder, "sft") == whole
