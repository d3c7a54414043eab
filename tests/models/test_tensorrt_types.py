"""The TensorRT backend against the signatures of the libraries themselves, its parts that need a GPU included.

The libraries ship no stubs: they are made here from the compiled modules' own signatures. Those of ``tensorrt`` load
without the vendor's libraries, whose few entry points are left empty, because nothing is called.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vista_fast

ENTRY_POINTS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)


WRONG = {
    "builder.create_network(typed)": ("builder.create_network([typed])", "arg-type"),
    "builder.create_optimization_profile()": ("builder.create_profile()", "attr-defined"),
    "builder.create_builder_config()": ("builder.create_builder_config(1)", "call-arg"),
}
"""Calls of build.py, what they become, and the code of mypy's error then."""


def run(command: list[str], *, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def empty_libraries(folder: Path) -> Path:
    """Shared libraries by the names that the bindings of tensorrt load."""
    compiler = shutil.which("cc") or shutil.which("g++")
    assert compiler is not None, "a C compiler builds the core, and these libraries"
    folder.mkdir()
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in ENTRY_POINTS))
    (module,) = Path(importlib.util.find_spec("tensorrt_bindings").origin).parent.glob("tensorrt*.so")
    major = re.search(rb"libnvinfer\.so\.(\d+)", module.read_bytes()).group(1).decode()
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        library = f"lib{name}.so.{major}"
        run([compiler, "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(folder / library), str(source)])
    return folder


def stubs(module: str, folder: Path, libraries: str) -> None:
    """``tensorrt.pyi`` in the folder, of the signatures of a compiled module."""
    stubgen = Path(sys.executable).with_name("stubgen")
    run([str(stubgen), "--inspect-mode", "-m", module, "-o", str(folder / "raw")], LD_LIBRARY_PATH=libraries)
    (made,) = (folder / "raw").rglob("*.pyi")
    lines = made.read_text(encoding="utf-8").splitlines()
    (folder / "tensorrt.pyi").write_text("\n".join(map(well_formed, lines)), encoding="utf-8")


def well_formed(line: str) -> str:
    """The line of a stub; a signature with defaults before other parameters, which Python has not, as any."""
    try:
        if line.lstrip().startswith("def "):
            ast.parse(line.strip())
    except SyntaxError:
        return re.sub(r"\(self.*\)( ->|:)", r"(self, *args, **kwargs)\1", line)
    return line


def copied_package(folder: Path) -> Path:
    """The package outside of site-packages, whose other modules mypy would take for the user's own there."""
    source = Path(vista_fast.__file__).resolve().parent
    ignored = shutil.ignore_patterns("*.so", "*.safetensors", "__pycache__")
    return Path(shutil.copytree(source, folder / source.name, ignore=ignored))


def spoil(path: Path) -> list[str]:
    """Makes calls in the file wrong, and gives the codes of the errors in their order there."""
    text = path.read_text(encoding="utf-8")
    for right, (wrong, _) in WRONG.items():
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    path.write_text(text, encoding="utf-8")
    return [code for wrong, code in sorted(WRONG.values(), key=lambda each: text.index(each[0]))]


@pytest.mark.parametrize("module", ["tensorrt_bindings.tensorrt", "tensorrt_rtx_bindings.tensorrt_rtx"])
def test_every_call_fits_the_signatures_and_one_that_does_not_is_seen(module: str, tmp_path: Path) -> None:
    libraries = str(empty_libraries(tmp_path / "libraries")) if module.startswith("tensorrt_bindings") else ""
    stubs(module, tmp_path, libraries)
    config = tmp_path / "mypy.ini"
    # Calls of other libraries are checked with the rest of the package; to read those here takes most of a minute.
    config.write_text(
        "[mypy]\nstrict = true\nwarn_unused_ignores = false\nwarn_return_any = false\nfollow_imports = skip\n"
        "[mypy-tensorrt]\nignore_errors = true\n"
        "[mypy-numpy.*]\nfollow_imports = skip\nfollow_imports_for_stubs = true\n"
    )
    package = copied_package(tmp_path / "checked")
    folder = package / "models" / "backend"
    checked = [str(folder / name) for name in ("tensorrt", "model.py", "profile.py")] + [str(package / "errors.py")]
    arguments = ["--config-file", str(config), "--cache-dir", str(tmp_path / "cache")]
    mypy = [sys.executable, "-m", "mypy", *arguments, *checked]
    run(mypy, MYPYPATH=str(tmp_path))
    codes = spoil(folder / "tensorrt" / "build.py")
    told = run(mypy, code=1, MYPYPATH=str(tmp_path))
    assert re.findall(r"build\.py:\d+: error: .*\[(.*)\]", told) == codes, told
