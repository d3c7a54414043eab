"""``sft``, ``rollout`` and ``eval`` as a user runs them, one after the other."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from vista_fast.cli.main import main
from vista_fast.run_folder import RunFolder

if find_spec("torch") is None:
    pytest.skip("needs torch", allow_module_level=True)


def test_sft_makes_weights_that_play(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "sft"
    assert main(["sft", "--preset", "ci", "--run", str(run)]) == 0
    folder = RunFolder.open(run)
    assert [record["step"] for record in folder.metrics("SftMetrics")] == list(range(1, 21))
    assert folder.metrics("CorpusProgress")[-1]["steps"] == 72
    weights = str(run / "weights")
    assert weights in capsys.readouterr().out

    out = tmp_path / "played"
    assert main(["rollout", str(out), "--weights", weights, "--tasks", "2", "--group", "2"]) == 0
    assert "played   4 trajectories" in capsys.readouterr().out
    assert (out / "rollout.parquet").is_file()

    assert main(["eval", f"mine={weights}", "--preset", "ci", "--tasks", "3", "--temperature", "0"]) == 0
    table = capsys.readouterr().out
    assert "eval mine, with tools, greedy" in table
    assert "eval mine, without tools, greedy" in table

    assert main(["sft", "--preset", "ci", "--run", str(run), "--resume"]) == 0
    assert len(folder.metrics("SftMetrics")) == 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rollout", "OUT", "--dataset", "chartqa"], "--data"),
        (["rollout", "OUT", "--dataset", "mini", "--data", "x"], "unexpected keyword argument 'folder'"),
        (["rollout", "OUT", "--dataset", "nothing"], "no dataset is named 'nothing'"),
        (["train", "--run", "OUT", "--start", "nowhere"], "nowhere holds no weights"),
        (["rollout", "OUT", "--weights", "nowhere"], "nowhere holds no weights"),
        (["train", "--run", "OUT", "--start", "RUN"], "no *.safetensors, no tokenizer.json); name RUN/weights"),
        (["rollout", "OUT", "--weights", "RUN"], "no *.safetensors, no tokenizer.json); name RUN/weights"),
        (["rollout", "RUN/config.json"], "RUN/config.json can't hold trajectories (File exists); name another folder"),
        (["eval", "nowhere"], "nowhere is not a folder"),
        (["eval", "base=RUN"], "the name 'base' is taken by the untrained model"),
    ],
)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, run = tmp_path / "out", tmp_path / "run"
    (run / "weights").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    assert main([each.replace("OUT", str(out)).replace("RUN", str(run)) for each in arguments]) == 1
    said = capsys.readouterr().err
    assert words.replace("RUN", str(run)) in said
    assert said.count("\n") == 1
    assert not out.exists()
