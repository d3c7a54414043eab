"""``vista-fast bench``: the scripts in benchmarks/, which lie in a checkout and not in the wheel."""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

from vista_fast.cli import exits
from vista_fast.errors import InvalidArgumentError, NotFoundError

BY_NAME = " (runs only by name)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="name", help="what to run, in this order (default: all that are in the table)"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--checkout", type=Path, default=Path.cwd(), help="folder of the checkout (default: here)")
    parser.epilog = "Arguments of a benchmark follow '--', for all alike: vista-fast bench engine zoom -- --quick"


def run(options: argparse.Namespace) -> int:
    scripts = benchmarks(options.checkout)
    in_table = [name for name, script in scripts.items() if is_in_table(script)]
    names = options.names or in_table
    unknown = [name for name in names if name not in scripts]
    if unknown:
        raise InvalidArgumentError(f"there is no benchmark {', '.join(unknown)}; choose from: {', '.join(scripts)}")
    if options.list:
        for name in options.names or scripts:
            print(f"{name:24} {purpose(scripts[name])}{'' if name in in_table else BY_NAME}")
        return exits.OK
    if not names:
        raise NotFoundError(f"none of the benchmarks is in the table; name one to run it: {', '.join(scripts)}")
    return max(_run_one(name, scripts[name], options.passed_on) for name in names)


def benchmarks(checkout: Path) -> dict[str, Path]:
    """The runnable scripts of ``checkout``/benchmarks by name; NotFoundError when there are none."""
    folder = checkout / "benchmarks"
    scripts = {path.stem: path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")}
    if not scripts:
        raise NotFoundError(
            f"no benchmarks in {folder}; they come with a checkout, not with the wheel: run this from one, or pass "
            "--checkout"
        )
    return scripts


def is_in_table(script: Path) -> bool:
    """Whether it writes to the table of benchmarks/README.md and takes what all of those take."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.ImportFrom) and node.module == "_table" for node in tree.body)


def purpose(script: Path) -> str:
    """The first line of the script's docstring."""
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def _run_one(name: str, script: Path, arguments: list[str]) -> int:
    """Runs from the folder of the script, so that the checkout's own ./vista_fast does not hide the installed one."""
    print(f"== {name}", flush=True)
    code = subprocess.run([sys.executable, script.name, *arguments], cwd=script.parent, check=False).returncode
    if code:
        print(f"vista-fast: benchmark {name} left with exit code {code}", file=sys.stderr)
        return exits.FAILED
    return exits.OK
