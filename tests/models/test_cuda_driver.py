"""Graphs of the CUDA driver, over a library with the driver's entry points that notes its calls: no GPU is here."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from typing import Any

import pytest

from vista_fast.errors import OpError
from vista_fast.models.backend.tensorrt import driver
from vista_fast.models.backend.tensorrt.driver import Graph

STREAM = 0x7F0000000010  # a handle does not fit into an int

SOURCE = """
#include <string.h>
static char told[1000];
int end_fails = 0;
static int tell(const char *what) { strcat(strcat(told, what), " "); return 0; }
const char *take(void) { static char out[1000]; strcpy(out, told); told[0] = 0; return out; }
static void *stream = (void *)0x7f0000000010, *graph = (void *)0x7f0000000020, *ready = (void *)0x7f0000000030;
int cuStreamCreate(void **out, unsigned flags) { *out = stream; return flags == 1 ? tell("create") : 1; }
int cuStreamBeginCapture_v2(void *on, unsigned mode) { return on == stream && mode == 1 ? tell("begin") : 1; }
int cuStreamEndCapture(void *on, void **out) {
  tell("end");
  if (on != stream) return 1;
  *out = end_fails ? 0 : graph;
  return end_fails ? 901 : 0;
}
int cuGraphInstantiateWithFlags(void **out, void *of, unsigned long long flags) {
  *out = ready;
  return of == graph && flags == 0 ? tell("instantiate") : 1;
}
int cuGraphLaunch(void *what, void *on) { return what == ready && on == stream ? tell("launch") : 1; }
int cuGraphDestroy(void *what) { return what == graph ? tell("destroy") : 1; }
int cuGraphExecDestroy(void *what) { return what == ready ? tell("destroy_ready") : 1; }
int cuGetErrorName(int status, const char **out) { *out = "CUDA_ERROR_OF_A_TEST"; return status == 0; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    compiler = shutil.which("cc") or shutil.which("g++")
    assert compiler is not None, "a C compiler builds the core, and this library"
    source = tmp_path_factory.mktemp("driver") / "driver.c"
    source.write_text(SOURCE)
    made = source.with_name("libcuda.so.1")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    loaded = ctypes.CDLL(str(made))
    loaded.take.restype = ctypes.c_char_p
    return loaded


@pytest.fixture
def calls(library: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives what was called since the last time."""
    driver._driver.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    library.take()
    yield lambda: library.take().decode().split()
    driver._driver.cache_clear()


def test_work_is_captured_once_and_launched_often(calls: Any) -> None:
    worked = []
    graph = Graph(STREAM, lambda: worked.append(calls()))
    assert worked == [["begin"]]
    assert calls() == ["end", "instantiate", "destroy"]
    graph.launch(STREAM)
    graph.launch(STREAM)
    assert calls() == ["launch", "launch"]
    del graph
    assert calls() == ["destroy_ready"]


def test_a_stream_goes_on_when_the_work_raises(calls: Any) -> None:
    def work() -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        Graph(STREAM, work)
    assert calls() == ["begin", "end", "destroy"]


def test_what_can_not_be_captured_is_said(calls: Any, library: Any) -> None:
    failing = ctypes.c_int.in_dll(library, "end_fails")
    failing.value = 1
    try:
        with pytest.raises(OpError, match=r"refuses what was captured: CUDA_ERROR_OF_A_TEST \(901\)"):
            Graph(STREAM, lambda: None)
    finally:
        failing.value = 0
    assert calls() == ["begin", "end"]


def test_a_machine_without_the_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    driver._driver.cache_clear()
    with pytest.raises(OpError, match=r"driver does not load .*nvidia-smi"):
        Graph(STREAM, lambda: None)
    driver._driver.cache_clear()
