"""Each benchmark explains itself, and runs in small with the package as it is now."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from vista_fast.cli.bench import is_in_table

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if not path.name.startswith("_")]
IN_TABLE = [path for path in SCRIPTS if is_in_table(path)]


def run(script: Path, folder: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_help(script: Path, tmp_path: Path) -> None:
    assert "usage" in run(script, tmp_path, "--help")


def test_training_alone_is_not_in_the_table() -> None:
    assert {path.stem for path in SCRIPTS} - {path.stem for path in IN_TABLE} == {"train_seeds"}


@pytest.mark.parametrize("script", IN_TABLE, ids=[script.stem for script in IN_TABLE])
def test_one_command_line_fits_all(script: Path, tmp_path: Path) -> None:
    everything = ("--record", "--profile", "--quick", "--repeats", "3", "--verl-tool", ".", "--weights", ".", "--help")
    assert "usage" in run(script, tmp_path, *everything)


@pytest.mark.parametrize("script", IN_TABLE, ids=[script.stem for script in IN_TABLE])
def test_quick(script: Path, tmp_path: Path) -> None:
    before = files()
    said = run(script, tmp_path, "--quick", "--record")
    assert "ratio" in said or script.stem == "soak"
    assert files() == before, "a quick run records nothing"


def files() -> list[Path]:
    return [path for path in sorted(FOLDER.rglob("*")) if "__pycache__" not in path.parts]


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.usefixtures("helpers")
def test_a_section_tells_spread_limits_and_profile() -> None:
    table, measuring = import_module("_table"), import_module("_measuring")
    row = {"name": "one", "unit": "ms", "better": "lower", "bound_by": "it", "physical": 1.0, "physical_is": "less"}
    peer = {"name": "other", "figures": [4.0, 6.0, 9.0], "at_least": 3.5}
    rows = [row | {"figures": [2.0, 3.0, 1.5], "peers": [peer]}, row | {"name": "two", "figures": [2.0], "peers": []}]
    profiles = [{"of": "work", "shares": [["libjpeg decode", 61.4], ["kernel", 9.0]]}]
    about = dict.fromkeys(("cpu", "memory", "system", "libraries", "date"), "?")
    text = table.section("x", {"machine": about, "rows": rows, "profiles": profiles})
    assert "| one | 2 ms (1.5 to 3) | other: 6 | 2 (2 to 6) | 3.5 **short** | 1 ms |" in text
    assert "| two | 2 ms |" in text
    assert text.count("bound by it; physical limit: less") == 1, "rows that share a note have it once"
    assert "- profile of work: 61 % libjpeg decode, 9 % kernel" in text
    assert measuring.times(1.0, 0.0) == float("inf")
    assert measuring.times(0.0, 0.0) == 1.0


@pytest.mark.usefixtures("helpers")
@pytest.mark.parametrize(
    ("dso", "symbol", "name"),
    [
        ("[kernel.kallsyms]", "[k] futex_wake", "kernel"),
        ("libjpeg-1a2b3c4d.so.62.4.0", "[.] 0x00000000000312f0", "libjpeg"),
        (
            "_core.cpython-311-x86_64-linux-gnu.so",
            "[.] vista::(anonymous namespace)::Step<4>(int)",
            "_core vista::Step",
        ),
        ("[JIT] tid 17", "[.] 0x00007f0000000000", "code compiled as it runs"),
        ("libpython3.11.so.1.0", "[.] _PyEval_EvalFrameDefault", "libpython3.11 _PyEval_EvalFrameDefault"),
    ],
)
def test_a_profile_names_library_and_function(dso: str, symbol: str, name: str) -> None:
    assert import_module("_profile")._name(dso, symbol) == name
