"""Real engines, built for a named GPU by tensorrt_rtx, which needs none for it; and the cache that keeps them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from ahead_of_time import TARGET, Built, builds
from onnx import TensorProto, helper, numpy_helper

from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError, StorageError
from vista_fast.models import find_backend
from vista_fast.models.backend import EngineCache, Precision, Profile, TensorRtModel, compile_engine
from vista_fast.models.backend.tensorrt import EngineKey
from vista_fast.models.backend.tensorrt import library as library_module
from vista_fast.models.backend.tensorrt.compile import recipe
from vista_fast.models.backend.tensorrt.engine import index_of
from vista_fast.models.backend.tensorrt.library import load_library
from vista_fast.models.documents import DocumentConfig, LayoutModel
from vista_fast.models.grounding import CocoDetector, GroundingConfig
from vista_fast.models.grounding.coco import GRAPH, WEIGHT
from vista_fast.models.ocr import OcrConfig, OcrModel
from vista_fast.models.ocr.profiles import detection_profiles
from vista_fast.models.ocr.weights import detection_weights
from vista_fast.models.segmentation import SegmentationConfig
from vista_fast.models.segmentation.model import SegmentationModel
from vista_fast.models.segmentation.ops import DECODE_BATCH
from vista_fast.models.weights import fetch_weight

SMALL = Profile.of({"x": ((1, 4), (2, 4), (8, 4))})
KEY = EngineKey("0" * 64, (SMALL,), "f32", "tensorrt_rtx", "1.0", TARGET)


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """One product, of x [N, 4]: quick to build."""
    return product(tmp_path / "product.onnx")


def product(path: Path, scale: float = 1) -> Path:
    weights = numpy_helper.from_array(np.full((4, 3), scale, np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def build(path: Path, cache: EngineCache, profile: Profile | None = SMALL, precision: Precision = "f32") -> Path:
    return compile_engine(
        path,
        profiles=() if profile is None else (profile,),
        precision=precision,
        library="tensorrt_rtx",
        target=TARGET,
        cache=cache,
    )


@pytest.fixture
def built(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> list[Built]:
    return builds(cache, monkeypatch)


@pytest.mark.parametrize(("detector", "recogniser"), [("f32", "f32"), ("bf16", "f16")])
def test_ocr_is_built_for_all_shapes_of_its_ops(detector: Precision, recogniser: Precision, built: list[Built]) -> None:
    OcrModel(OcrConfig(backend="tensorrt_rtx", precision=recogniser, detector_precision=detector))
    assert [(each.precision, len(each.profiles)) for each in built] == [(detector, 3), (recogniser, 2)]
    assert min(each.size for each in built) > 8_000_000


def test_segmentation_is_built_for_all_shapes_of_its_ops(built: list[Built]) -> None:
    fetch_weight("sam2-hiera-tiny-encoder")
    fetch_weight("sam2-hiera-tiny-decoder")
    SegmentationModel(SegmentationConfig(backend="tensorrt_rtx", device="cuda"))
    encoder, decoder = built
    assert encoder.profiles == ()
    few, many = decoder.profiles
    count = DECODE_BATCH
    shapes = {"point_coords": (count, 256, 2), "point_labels": (count, 256), "mask_input": (count, 1, 256, 256)}
    assert many.holds(shapes)
    assert not few.holds(shapes)
    assert encoder.size > 100_000_000
    assert decoder.size > 8_000_000


def test_the_layout_is_built_without_profiles(built: list[Built]) -> None:
    """All its shapes are fixed."""
    fetch_weight("pp-layout-cdla")
    LayoutModel(DocumentConfig(backend="tensorrt_rtx"))
    (layout,) = built
    assert layout.profiles == ()
    assert layout.size > 4_000_000


def test_the_detector_of_coco_is_built_for_all_shapes_of_its_op(built: list[Built]) -> None:
    fetch_weight(GRAPH)
    fetch_weight(WEIGHT)
    config = GroundingConfig(backend="tensorrt_rtx")
    CocoDetector(config)
    (detector,) = built
    (profile,) = detector.profiles
    assert detector.size > 8_000_000
    assert all(profile.holds({"input": (count, 3, 416, 416)}) for count in (1, config.max_batch))


def test_several_profiles_go_into_one_engine(cache: EngineCache, network: Path) -> None:
    profiles = (SMALL, Profile.of({"x": ((9, 4), (64, 4), (64, 4))}))
    made = compile_engine(network, profiles=profiles, library="tensorrt_rtx", target=TARGET, cache=cache)
    assert made.is_file()
    assert index_of(profiles, {"x": (8, 4)}) == 0
    assert index_of(profiles, {"x": (9, 4)}) == 1
    with pytest.raises(InvalidArgumentError, match=r"not built for x \[65, 4\], only for x \[1, 4\] to \[8, 4\] \| x"):
        index_of(profiles, {"x": (65, 4)})


def test_the_interpreter_runs_while_an_engine_is_built(cache: EngineCache) -> None:
    """While f32 detection is."""
    (profile,) = detection_profiles(OcrConfig.at_side(448))
    thread = threading.Thread(target=build, args=(detection_weights(), cache, profile))
    thread.start()
    began = last = time.perf_counter()
    longest = 0.0
    while thread.is_alive():
        thread.join(0.001)  # without it this would take turns with the builder's own Python all the time
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert longest < (last - began) / 2
    assert len(list(cache.folder.glob("*-f32-*.engine"))) == 1


def test_what_an_engine_depends_on_gives_another_file(cache: EngineCache) -> None:
    others: dict[str, Any] = {
        "model": "1" * 64,
        "profiles": (),
        "precision": "f16",
        "library": "tensorrt",
        "version": "1.1",
        "target": "sm80",
        "hardware": "NVIDIA L4, 58 multiprocessors",
        "rules": KEY.rules + 1,
    }
    assert set(others) == {field.name for field in fields(EngineKey)}
    paths = {cache.path(replace(KEY, **{name: value})) for name, value in others.items()}
    assert len({cache.path(KEY), *paths}) == 1 + len(others)


def test_the_content_of_the_file_decides_not_its_name(cache: EngineCache, tmp_path: Path) -> None:
    one = build(product(tmp_path / "same.onnx"), cache)
    assert build(product(tmp_path / "renamed.onnx"), cache) == one
    assert build(product(tmp_path / "same.onnx", scale=2), cache) != one


@pytest.mark.parametrize("constant", [False, True])
def test_weights_beside_the_file_count_as_its_content(cache: EngineCache, tmp_path: Path, constant: bool) -> None:
    def with_external(scale: float) -> Path:
        model = onnx.load(product(tmp_path / "whole.onnx", scale))
        if constant:
            weights = model.graph.initializer.pop()
            model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [weights.name], value=weights))
        path = tmp_path / "split.onnx"
        (tmp_path / "split.data").unlink(missing_ok=True)
        onnx.save(
            model, path, save_as_external_data=True, location="split.data", size_threshold=0, convert_attribute=True
        )
        return path

    assert build(with_external(1), cache) != build(with_external(2), cache)
    (tmp_path / "split.data").unlink()
    with pytest.raises(InvalidArgumentError, match=r"split\.onnx can't be loaded"):
        build(tmp_path / "split.onnx", cache)


def test_an_engine_is_built_once(cache: EngineCache, network: Path) -> None:
    made = recipe(network, [SMALL], "f32", "tensorrt_rtx", TARGET, cache)
    first = made.engine()
    written = cache.path(made.key).stat().st_mtime_ns
    assert made.engine() == first
    assert cache.path(made.key).stat().st_mtime_ns == written


_BUILDER = """
import sys
from pathlib import Path
from vista_fast.models.backend import EngineCache, Profile
from vista_fast.models.backend.tensorrt import compile as compiling

build = compiling.build_engine

def counted(*arguments):
    print("built", flush=True)
    return build(*arguments)

compiling.build_engine = counted
print("ready", flush=True)
sys.stdin.readline()
profile = Profile.of({"x": ((1, 4), (2, 4), (8, 4))})
compiling.compile_engine(
    Path(sys.argv[1]), profiles=[profile], library="tensorrt_rtx", target="sm89", cache=EngineCache(Path(sys.argv[2]))
)
"""


def test_however_many_processes_ask_an_engine_is_built_once(cache: EngineCache, network: Path) -> None:
    command = [sys.executable, "-c", _BUILDER, str(network), str(cache.folder)]
    asking = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in asking:
        assert process.stdout.readline() == "ready\n"
    for process in asking:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[0] for process in asking]
    assert sorted(told) == ["", "", "", "built\n"]
    assert all(process.returncode == 0 for process in asking)


def test_a_lock_ends_with_the_process_that_holds_it(cache: EngineCache) -> None:
    script = (
        "import os, sys; from pathlib import Path; from vista_fast.models.backend import EngineCache\n"
        "with EngineCache(Path(sys.argv[1]))._locked(Path(sys.argv[2])): os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(cache.folder), str(cache.path(KEY))], check=False, timeout=60)
    assert cache.path(KEY).with_suffix(".lock").exists()
    assert cache.get(KEY, lambda: b"engine") == b"engine"


def test_an_engine_of_another_version_is_built_anew(cache: EngineCache) -> None:
    """As when a file was copied over, or kept by a tool that goes by names."""
    cache.get(replace(KEY, version="0.9"), lambda: b"stale")
    cache.path(replace(KEY, version="0.9")).rename(cache.path(KEY))
    assert cache.get(KEY, lambda: b"fresh") == b"fresh"
    assert cache.get(KEY, lambda: pytest.fail("it is there")) == b"fresh"


@pytest.mark.parametrize("kept", [0, 1, 10, 25, 300, -1])
def test_a_cut_off_file_is_built_anew(kept: int, cache: EngineCache) -> None:
    cache.get(KEY, lambda: b"engine" * 100)
    path = cache.path(KEY)
    path.write_bytes(path.read_bytes()[:kept])
    assert cache.get(KEY, lambda: b"anew") == b"anew"


@pytest.mark.parametrize("at", [0, 22, 60, -1])
def test_a_damaged_file_is_built_anew(at: int, cache: EngineCache) -> None:
    cache.get(KEY, lambda: b"engine" * 100)
    path = cache.path(KEY)
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 0xFF
    path.write_bytes(damaged)
    assert cache.get(KEY, lambda: b"anew") == b"anew"


def test_a_file_of_other_json_is_built_anew(cache: EngineCache) -> None:
    for header in ([], {"key": KEY.text}, None):
        cache.folder.mkdir(parents=True, exist_ok=True)
        cache.path(KEY).write_bytes(b"vista_fast engine 1\n" + json.dumps(header).encode() + b"\nengine")
        assert cache.get(KEY, lambda: b"anew") == b"anew"


def test_an_engine_that_the_library_refuses_is_dropped(cache: EngineCache) -> None:
    refused = cache.get(KEY, lambda: b"refused")
    cache.drop(KEY, refused)
    assert cache.get(KEY, lambda: b"replaced") == b"replaced"
    # Another process has replaced it since this one read it.
    cache.drop(KEY, refused)
    assert cache.get(KEY, lambda: b"third") == b"replaced"


def test_a_failed_build_leaves_nothing(cache: EngineCache) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.get(KEY, lambda: bytes(1 // 0))
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]
    assert cache.get(KEY, lambda: b"engine") == b"engine"


def test_a_folder_that_can_not_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="set VISTA_FAST_ENGINES"):
        EngineCache(tmp_path / "file" / "engines").get(KEY, lambda: b"engine")


def test_a_setting_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTA_FAST_ENGINES", str(tmp_path))
    assert EngineCache().folder == tmp_path


def test_what_is_no_network_is_a_typed_error(cache: EngineCache, tmp_path: Path, network: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.onnx"):
        build(tmp_path / "none.onnx", cache)
    broken = tmp_path / "broken.onnx"
    for content in (b"", b"not a network", network.read_bytes()[:-20], detection_weights().read_bytes()[:5_000_000]):
        broken.write_bytes(content)
        with pytest.raises(InvalidArgumentError, match=r"broken\.onnx"):
            build(broken, cache)
    assert not list(cache.folder.glob("*.engine"))


def test_an_operator_that_the_library_lacks_is_named(cache: EngineCache, tmp_path: Path, network: Path) -> None:
    model = onnx.load(network)
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, tmp_path / "unheard.onnx")
    with pytest.raises(InvalidArgumentError, match=r"can't run .*unheard\.onnx.*Unheard.*use onnxruntime"):
        build(tmp_path / "unheard.onnx", cache)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_precision_that_a_gpu_lacks_is_named(cache: EngineCache, network: Path, precision: Precision) -> None:
    """tensorrt_rtx multiplies matrices for sm75 in f16 only."""

    def for_sm75(precision: Precision) -> Path:
        return compile_engine(
            network, profiles=[SMALL], precision=precision, library="tensorrt_rtx", target="sm75", cache=cache
        )

    with pytest.raises(InvalidArgumentError, match=rf"product\.onnx in {precision} for sm75: .*another precision, or"):
        for_sm75(precision)
    assert for_sm75("f16").is_file()


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (None, r"the shapes of x of .* vary: give profiles=.*x \[any, 4\]"),
        (Profile.of({"image": ((1, 4), (1, 4), (8, 4))}), r"names image, and .* takes x \[any, 4\]"),
        (Profile.of({"x": ((1, 5), (1, 5), (8, 5))}), r"takes \[any, 4\]"),
        (Profile.of({"x": ((1, 4, 1), (1, 4, 1), (8, 4, 1))}), r"takes \[any, 4\]"),
    ],
)
def test_profiles_that_do_not_fit_the_network_are_refused(
    profile: Profile | None, message: str, cache: EngineCache, network: Path
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        build(network, cache, profile)


def test_targets_and_precisions_that_do_not_exist_are_refused(cache: EngineCache, network: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="unknown library 'nvinfer'"):
        compile_engine(network, profiles=[SMALL], library="nvinfer", target=TARGET)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="does not run on 'sm90', only on sm75, sm80, sm86, sm89"):
        compile_engine(network, profiles=[SMALL], library="tensorrt_rtx", target="sm90", cache=cache)
    with pytest.raises(InvalidArgumentError, match=r"precision must be one of f32, .* got 'int8'"):
        build(network, cache, precision="int8")


def test_a_library_that_is_absent_or_lacks_its_own_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgumentError, match="unknown library 'tensorflow'"):
        load_library("tensorflow")
    with pytest.raises(MissingExtraError, match=r"'tensorrt' needs .*pip install tensorrt"):
        load_library("tensorrt")
    monkeypatch.setitem(library_module.MODULES, "tensorrt", ("vista_fast.no_such_part",))
    monkeypatch.setattr(library_module, "find_spec", lambda _: object())
    with pytest.raises(MissingExtraError, match="'tensorrt' does not load"):
        load_library("tensorrt")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the error of a machine without a GPU")
def test_without_a_gpu_opening_an_engine_says_so(network: Path) -> None:
    load = find_backend("tensorrt_rtx")
    with pytest.raises(InvalidArgumentError, match="runs on a GPU, and torch sees none here"):
        load(network, threads=1, precision="f32", device="cuda")
    with pytest.raises(InvalidArgumentError, match="runs on device 'cuda' only, got device 'cpu'"):
        TensorRtModel(network, device="cpu", library="tensorrt_rtx")
