"""``bench`` lists and runs what lies in benchmarks/ of a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from vista_fast.cli import exits
from vista_fast.cli.main import main


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    shared = "from _table import finish\n"
    body = 'import pathlib, sys\npathlib.Path("said").write_text(" ".join(sys.argv[1:]))'
    (folder / "good.py").write_text(f'"""Says its arguments.\n\nMore."""\n{shared}{body}')
    (folder / "bad.py").write_text(f'"""Fails."""\n{shared}raise SystemExit(7)')
    (folder / "long.py").write_text('"""Trains."""\nimport pathlib\npathlib.Path("trained").touch()')
    (folder / "_table.py").write_text("finish = print")
    return tmp_path


def test_lists_names_and_purposes(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list", "--checkout", str(checkout)]) == exits.OK
    listed = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert listed == [["bad", "Fails."], ["good", "Says its arguments."], ["long", "Trains. (runs only by name)"]]
    assert sorted(path.name for path in (checkout / "benchmarks").iterdir() if path.suffix != ".py") == []


def test_runs_with_what_follows_the_dashes(checkout: Path) -> None:
    assert main(["bench", "good", "--checkout", str(checkout), "--", "--repeat", "3"]) == exits.OK
    assert (checkout / "benchmarks" / "said").read_text() == "--repeat 3"


def test_without_names_runs_all_of_the_table(checkout: Path) -> None:
    (checkout / "benchmarks" / "bad.py").unlink()
    assert main(["bench", "--checkout", str(checkout), "--", "--record"]) == exits.OK
    assert (checkout / "benchmarks" / "said").read_text() == "--record"
    assert not (checkout / "benchmarks" / "trained").exists()


def test_by_name_runs_what_is_not_in_the_table(checkout: Path) -> None:
    assert main(["bench", "long", "--checkout", str(checkout)]) == exits.OK
    assert (checkout / "benchmarks" / "trained").exists()


def test_one_failure_fails_but_the_others_run(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--checkout", str(checkout)]) == exits.FAILED
    assert (checkout / "benchmarks" / "said").exists()
    assert "bad left with exit code 7" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "choose from: bad, good, long"), ("_table", "no benchmark _table")]
)
def test_unknown_names(checkout: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", name, "--checkout", str(checkout)]) == exits.FAILED
    assert message in capsys.readouterr().err


def test_away_from_a_checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--checkout", str(tmp_path)]) == exits.FAILED
    assert "come with a checkout" in capsys.readouterr().err
