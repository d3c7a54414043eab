"""Arrows point one way: reads the includes and imports of the sources, and fails on one that points back."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"

# Each folder may include its own headers and those of earlier rows; folders of one row don't know each other.
NATIVE_ROWS = (("base",), ("image", "nn", "sched"), ("exec", "cuda"), ("ops",), ("python",))

# The same for the parts of the package; parts joined by "+" are one family whose members may import each other.
PYTHON_ROWS = (
    ("errors",),
    ("_core",),
    ("types", "run_folder", "out_of_memory"),
    ("tasks+protocol+rewards", "engine", "kernels"),
    ("devices",),
    ("models",),
    ("tools",),
    ("envs",),
    ("rollout",),
    ("train",),
    ("report",),
    ("serve", "integrations", "cli"),
)
FACADE = "__init__"
HEAVY = (
    "torch",
    "transformers",
    "matplotlib",
    "cv2",
    "PIL",
    "openvino",
    "onnxruntime",
    "pyarrow",
    "gymnasium",
    "triton",
)


def rank_of(rows: tuple[tuple[str, ...], ...]) -> dict[str, tuple[int, str]]:
    """Row number and family of each name."""
    return {name: (number, family) for number, row in enumerate(rows) for family in row for name in family.split("+")}


def points_back(importer: str, imported: str, ranks: dict[str, tuple[int, str]]) -> bool:
    (row, family), (other_row, other_family) = ranks[importer], ranks[imported]
    return family != other_family and other_row >= row


def native_sources() -> list[Path]:
    return sorted(path for path in CSRC.rglob("*") if path.suffix in {".h", ".cc", ".cu", ".cuh", ".cpp", ".hpp"})


def includes(source: Path) -> list[str]:
    return re.findall(r"^\s*#\s*include\s*[<\"]([^>\"]+)[>\"]", source.read_text(encoding="utf-8"), re.MULTILINE)


def package_sources() -> list[tuple[str, Path]]:
    """Part and file of every Python source of the package."""
    sources = []
    for path in sorted((ROOT / "vista_fast").rglob("*.py")):
        sources.append((path.relative_to(ROOT / "vista_fast").parts[0].removesuffix(".py"), path))
    return sources + [("kernels", path) for path in sorted((ROOT / "kernels").rglob("*.py"))]


def imports(source: Path, package: tuple[str, ...]) -> Iterator[str]:
    """Every dotted module that the file imports anywhere in it, in functions and for type checking too.

    ``from a.b import c`` gives a.b.c, which is at least as deep as the module that is imported.
    """
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def package_of(source: Path) -> tuple[str, ...]:
    home = ROOT / "vista_fast" if source.is_relative_to(ROOT / "vista_fast") else ROOT
    return ("vista_fast", *source.relative_to(home).parent.parts)


def test_native_includes_point_one_way() -> None:
    ranks = rank_of(NATIVE_ROWS)
    wrong = []
    for source in native_sources():
        folder = source.relative_to(CSRC).parts[0]
        assert folder in ranks, f"csrc/{folder} has no place in NATIVE_ROWS"
        for include in includes(source):
            target = include.partition("/")[0]
            if ".." in include or (target in ranks and points_back(folder, target, ranks)):
                wrong.append(f"{source.relative_to(ROOT)} includes {include}")
    assert len(native_sources()) > 10
    assert not wrong, "\n".join(wrong)


def test_native_targets_link_one_way() -> None:
    ranks = rank_of(NATIVE_ROWS)
    wrong = []
    for lists in CSRC.glob("*/CMakeLists.txt"):
        folder = lists.parent.name
        for target in re.findall(r"\bvista_(\w+)\b", lists.read_text(encoding="utf-8")):
            if target in ranks and points_back(folder, target, ranks):
                wrong.append(f"{lists.relative_to(ROOT)} names vista_{target}")
    assert not wrong, "\n".join(wrong)


def test_only_the_binding_knows_python() -> None:
    wrong = [
        f"{source.relative_to(ROOT)} includes {include}"
        for source in native_sources()
        if source.relative_to(CSRC).parts[0] != "python"
        for include in includes(source)
        if include.startswith(("pybind11", "Python.h", "numpy/"))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_scheduler_sees_no_pixel() -> None:
    wrong = [
        f"{source.relative_to(ROOT)} includes {include}"
        for source in native_sources()
        if source.relative_to(CSRC).parts[0] in {"base", "sched"}
        for include in includes(source)
        if include.startswith(("image/", "jpeglib", "turbojpeg", "png", "webp/"))
    ]
    assert not wrong, "\n".join(wrong)


def test_python_imports_point_one_way() -> None:
    ranks = rank_of(PYTHON_ROWS)
    wrong = []
    for part, source in package_sources():
        if part == FACADE:
            continue
        assert part in ranks, f"vista_fast/{part} has no place in PYTHON_ROWS"
        for module in imports(source, package_of(source)):
            names = module.split(".")
            if names[0] != "vista_fast":
                continue
            target = names[1] if len(names) > 1 else FACADE
            if target not in ranks:
                wrong.append(f"{source.relative_to(ROOT)} imports {module}: import the part itself, not the package")
            elif points_back(part, target, ranks):
                wrong.append(f"{source.relative_to(ROOT)} imports {module}")
    assert len(package_sources()) > 20
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "imported", "back"),
    [
        ("sched", "image", True),
        ("image", "sched", True),
        ("exec", "ops", True),
        ("ops", "base", False),
        ("python", "ops", False),
        ("base", "base", False),
    ],
)
def test_the_rule_itself(importer: str, imported: str, back: bool) -> None:
    assert points_back(importer, imported, rank_of(NATIVE_ROWS)) is back


def test_imports_are_read_wherever_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "import vista_fast.engine as e\nfrom ..tools import box\nfrom . import near\n"
        "def late():\n    from vista_fast.train.run import go\n"
    )
    assert sorted(imports(source, ("vista_fast", "rollout"))) == [
        "vista_fast.engine",
        "vista_fast.rollout.near",
        "vista_fast.tools.box",
        "vista_fast.train.run.go",
    ]


def test_the_package_loads_nothing_heavy() -> None:
    probe = f"import sys, vista_fast; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_the_package_imports_in_under_300_ms() -> None:
    probe = "import time; t = time.perf_counter(); import vista_fast; print(time.perf_counter() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert statistics.median(seconds) < 0.3, seconds
