"""Grounding DINO on ONNX Runtime and OpenVINO beside transformers: a small one of the true classes, random weights."""

from __future__ import annotations

import json
import shutil
import sys
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_images
from small_grounding_dino import save_small_model
from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor
from transformers.models.grounding_dino import modeling_grounding_dino

import vista_fast as vf
from vista_fast import errors
from vista_fast.models.grounding import (
    Detections,
    GroundingConfig,
    GroundingDino,
    find_grounding_dino,
    register_grounding,
)
from vista_fast.models.grounding.boxes import without_doubles
from vista_fast.models.grounding.caption import Caption
from vista_fast.models.grounding.dino import Query
from vista_fast.models.grounding.export import _expanding, _traceable_captions, exported
from vista_fast.models.grounding.libraries import transformers_class
from vista_fast.models.weights import WEIGHTS, file_digest, store

BOX, TEXT = 0.35, 0.25
CAPTIONS = ["a red flower. leaf.", "Temple", "a dog . the big red car. tree. a man on a bench. boat. temple roof."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("grounding") / "grounding-dino-small")


@pytest.fixture(scope="module", autouse=True)
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that networks are exported into, once for all tests here."""
    root = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTA_FAST_WEIGHTS", str(root / "weights"))
        yield root / "weights" / "exports"


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """A landscape, a thin one, a portrait, one that needs no resizing."""
    china, flower = load_sample_images().images
    return [china, flower[:40], china[:, 100:300], china[:128, :192]]


@pytest.fixture(scope="module")
def model(folder: Path) -> GroundingDino:
    return GroundingDino(folder, GroundingConfig(backend="openvino"))


class Peer:
    """What transformers finds, one image at a time, padded to a canvas, or as it is."""

    def __init__(self, folder: Path) -> None:
        self._model = GroundingDinoForObjectDetection.from_pretrained(folder, disable_custom_kernels=True).eval()
        self._processor = GroundingDinoProcessor.from_pretrained(folder, backend="pil")

    def __call__(self, pixels: np.ndarray, caption: str, canvas: tuple[int, int] | None = None) -> Detections:
        text = caption.lower().strip().removesuffix(".") + "."
        options: Any = {} if canvas is None else {"pad_size": {"height": canvas[0], "width": canvas[1]}}
        inputs = self._processor(images=pixels, text=text, return_tensors="pt", images_kwargs=options)
        assert canvas in (None, inputs["pixel_values"].shape[2:])
        with torch.inference_mode():
            outputs = self._model(**inputs)
        (found,) = self._processor.post_process_grounded_object_detection(
            outputs, inputs["input_ids"], threshold=BOX, text_threshold=TEXT, target_sizes=[pixels.shape[:2]]
        )
        return Detections(found["boxes"].numpy(), found["scores"].numpy(), tuple(found["text_labels"]))


def assert_same(found: Detections, wanted: Detections, side: int, tolerance: float) -> None:
    """The same boxes with their scores and phrases; of boxes that score alike either may be first."""
    assert len(found.scores) == len(wanted.scores)
    if len(wanted.scores) == 0:
        return
    far = np.abs(found.boxes[:, None] - wanted.boxes[None]).max(axis=2) / side
    far += np.abs(found.scores[:, None] - wanted.scores[None])
    nearest = far.argmin(axis=1)
    assert sorted(nearest) == list(range(len(wanted.scores)))
    np.testing.assert_allclose(found.scores, wanted.scores[nearest], atol=tolerance)
    np.testing.assert_allclose(found.boxes / side, wanted.boxes[nearest] / side, atol=tolerance)
    assert found.phrases == tuple(wanted.phrases[index] for index in nearest)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
def test_it_finds_what_transformers_finds(folder: Path, photographs: list[np.ndarray], backend: Any) -> None:
    ours, peer = GroundingDino(folder, GroundingConfig(backend=backend)), Peer(folder)
    scores: list[float] = []
    phrases = set()
    for pixels in photographs:
        for caption in CAPTIONS:
            (canvas, _) = ours.batch_key(pixels.shape[1], pixels.shape[0], caption)
            (found,) = ours.detect([Query(pixels, caption, BOX, TEXT)])
            assert_same(found, peer(pixels, caption, canvas), max(pixels.shape), 1e-3)
            scores += found.scores.tolist()
            phrases |= set(found.phrases)
    assert 50 < len(scores) < 40 * len(photographs) * len(CAPTIONS)
    assert len(phrases) > 5


def test_without_padding_it_finds_what_transformers_finds_in_an_image_alone(
    folder: Path, photographs: list[np.ndarray]
) -> None:
    ours, peer = GroundingDino(folder, GroundingConfig(padding=False)), Peer(folder)
    for pixels in photographs:
        two = [Query(image, CAPTIONS[0], BOX, TEXT) for image in (pixels, pixels[:, ::-1])]
        for query, found in zip(two, ours.detect(two), strict=True):
            wanted = peer(query.pixels, query.caption)
            assert len(wanted.scores) > 0
            assert_same(found, wanted, max(pixels.shape), 1e-3)


def test_a_batch_finds_what_each_call_finds_alone(model: GroundingDino, photographs: list[np.ndarray]) -> None:
    queries = [
        Query(pixels, caption, BOX, TEXT) for pixels in photographs[:2] for caption in ("a red flower. leaf.", "Temple")
    ]
    for query, found in zip(queries, model.detect(queries), strict=True):
        (alone,) = model.detect([query])
        assert_same(found, alone, max(query.pixels.shape), 1e-3)


def test_calls_of_different_canvases_do_not_share_a_batch(model: GroundingDino, photographs: list[np.ndarray]) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="one canvas"):
        model.detect([Query(photographs[0], "leaf"), Query(photographs[2], "leaf")])


def test_there_are_five_canvases_and_every_image_fits_one(model: GroundingDino) -> None:
    sizes = [(height, width) for height in (1, 30, 200, 333, 4000) for width in (1, 31, 250, 290, 7000)]
    canvases = set()
    for height, width in sizes:
        canvas, resized = model.sizing.canvas(height, width), model.sizing.resized(height, width)
        assert 1 <= resized[0] <= canvas[0]
        assert 1 <= resized[1] <= canvas[1]
        canvases.add(canvas)
    assert len(canvases) <= 5


def test_without_padding_torch_runs_the_network() -> None:
    assert GroundingConfig(padding=False).library == "torch"
    with pytest.raises(errors.InvalidArgumentError, match="torch runs the network in f32, got backend 'openvino'"):
        GroundingConfig(backend="openvino", padding=False)
    with pytest.raises(errors.InvalidArgumentError, match="got backend None and precision 'bf16'; leave them out"):
        GroundingConfig(precision="bf16", padding=False)


@pytest.mark.parametrize("caption", ["", "  . . ", "a red car. " * 1000])
def test_a_caption_that_the_network_can_not_take_is_an_error(model: GroundingDino, caption: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="caption"):
        model.batch_key(100, 100, caption)


def test_words_of_no_language_are_read(model: GroundingDino, photographs: list[np.ndarray]) -> None:
    (found,) = model.detect([Query(photographs[0], "\x00 \U0001f680 [SEP] ?? 好. [CLS]")])
    assert np.isfinite(found.boxes).all()


def test_tokens_of_one_phrase_stand_together() -> None:
    caption = Caption.of(np.array([101, 7, 8, 1012, 9, 1012, 102]))
    first, *words, last = caption.phrases.tolist()
    assert words == [3, 3, 3, 5, 5]
    assert len({first, last, *words}) == 4
    assert caption.positions.tolist() == [0, 0, 1, 2, 0, 1, 0]
    padded = caption.padded(9)
    assert padded["attention_mask"].tolist() == [1] * 7 + [0] * 2
    assert len(set(padded["phrases"].tolist())) == 6


def test_the_better_of_two_boxes_that_overlap_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [5, 5, 5, 5]], np.float32)
    assert without_doubles(boxes, np.array([0.5, 0.9, 0.2, 0.1], np.float32), 0.8).tolist() == [1, 2, 3]
    assert without_doubles(boxes, np.array([0.5, 0.9, 0.2, 0.1], np.float32), 0.95).tolist() == [1, 0, 2, 3]
    assert without_doubles(boxes[:0], np.zeros(0, np.float32), 0.5).tolist() == []


def test_doubles_are_left_out(model: GroundingDino, photographs: list[np.ndarray]) -> None:
    (every,) = model.detect([Query(photographs[0], CAPTIONS[1], 0.1, TEXT)])
    (found,) = model.detect([Query(photographs[0], CAPTIONS[1], 0.1, TEXT, nms_threshold=0.1)])
    assert 0 < len(found.scores) < len(every.scores)
    assert found.scores[0] == every.scores[0]


def test_a_network_is_exported_once(folder: Path, exports: Path, model: GroundingDino, photographs: Any) -> None:
    model.detect([Query(photographs[0], "leaf")])
    before = {path: path.stat().st_mtime_ns for path in exports.glob("*.onnx")}
    assert before
    GroundingDino(folder, GroundingConfig(backend="onnxruntime")).detect([Query(photographs[0], "leaf")])
    assert {path: path.stat().st_mtime_ns for path in exports.glob("*.onnx")} == before
    assert not list(exports.glob("*.part"))


def test_networks_of_all_canvases_share_the_weights(
    folder: Path, exports: Path, model: GroundingDino, photographs: list[np.ndarray]
) -> None:
    model.detect([Query(photographs[0], "leaf")])
    model.detect([Query(photographs[2], "leaf")])
    networks = list(exports.glob("*.onnx"))
    stored = sum(path.stat().st_size for path in (exports / "tensors").iterdir())
    weights = (folder / "model.safetensors").stat().st_size
    assert len(networks) >= 2
    assert stored < 1.5 * weights
    assert all(path.stat().st_size < 0.5 * weights for path in networks)
    assert not list((exports / "tensors").glob("*.part"))


def test_what_can_not_be_exported_runs_as_transformers_has_it(
    folder: Path, tmp_path: Path, photographs: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("torch.onnx.export", fails)
    ours = GroundingDino(folder, GroundingConfig(backend="openvino"))
    query = Query(photographs[0], CAPTIONS[0], BOX, TEXT)
    (found,), (wanted,) = ours.detect([query]), GroundingDino(folder, GroundingConfig(backend="torch")).detect([query])
    assert_same(found, wanted, 640, 1e-6)
    assert not list((tmp_path / "weights" / "exports").glob("*.onnx"))


def test_where_no_export_can_be_stored_it_runs_as_transformers_has_it(
    folder: Path, tmp_path: Path, photographs: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path / "file" / "weights"))
    with pytest.raises(errors.OpError, match=r"can't be stored in .*; set VISTA_FAST_WEIGHTS to a folder"):
        exported(folder, (64, 64))
    query = Query(photographs[0], CAPTIONS[0], BOX, TEXT)
    found, wanted = (
        GroundingDino(folder, GroundingConfig(backend=backend)).detect([query])[0] for backend in ("openvino", "torch")
    )
    assert_same(found, wanted, 640, 1e-6)


def test_other_threads_keep_what_an_export_replaces() -> None:
    tokens, special = torch.tensor([[101, 7, 8, 1012, 9, 1012, 102]]), torch.tensor([101, 102, 1012, 1029])

    def masks() -> Any:
        return modeling_grounding_dino.generate_masks_with_special_tokens_and_transfer_map(tokens, special)

    def third_row_after_a_write_to_the_first() -> list[float]:
        rows = torch.zeros(1, 4).repeat(3, 1)
        rows[0] = 1
        return rows[2].tolist()

    wanted = masks()
    with ThreadPoolExecutor(1) as pool, _expanding(), _traceable_captions() as given:
        given["masks"] = "of the export"
        assert torch.zeros(1, 4).repeat(3, 1).stride() == (0, 1)
        assert masks() == "of the export"
        assert pool.submit(third_row_after_a_write_to_the_first).result() == [0, 0, 0, 0]
        assert all(map(torch.equal, pool.submit(masks).result(), wanted))
    assert third_row_after_a_write_to_the_first() == [0, 0, 0, 0]
    assert all(map(torch.equal, masks(), wanted))


def test_a_model_is_found_by_folder_and_among_the_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_grounding_dino() is None
    assert find_grounding_dino(folder) == folder
    with pytest.raises(errors.NotFoundError, match="vista-fast weights get grounding-dino-tiny"):
        find_grounding_dino(tmp_path / "nothing")
    with pytest.raises(errors.NotFoundError, match="no-such-model"):
        find_grounding_dino("IDEA-Research/no-such-model")
    (tmp_path / "my-own").symlink_to(folder)
    assert find_grounding_dino("somebody/my-own") == tmp_path / "my-own"
    (tmp_path / "grounding-dino-tiny").symlink_to(folder)
    for name in ("somebody/grounding-dino-tiny", "/nowhere/grounding-dino-tiny"):
        with pytest.raises(errors.NotFoundError, match=f"no Grounding DINO is at {name}"):
            find_grounding_dino(name)


def test_a_model_of_a_pinned_name_is_the_hubs_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    shutil.copytree(folder, tmp_path / "grounding-dino-base")
    for wanted in (None, "IDEA-Research/grounding-dino-base"):
        with pytest.raises(
            errors.NotFoundError, match=r"model.safetensors has SHA-256 .* of grounding-dino-base has 5548f8"
        ):
            find_grounding_dino(wanted)
    digests = {path.name: file_digest(path) for path in (tmp_path / "grounding-dino-base").iterdir()}
    known = WEIGHTS["grounding-dino-base"]
    ours = replace(known, sha256=digests["model.safetensors"], beside={name: digests[name] for name in known.beside})
    monkeypatch.setattr(store, "WEIGHTS", {**WEIGHTS, ours.name: ours})
    for wanted in (None, "IDEA-Research/grounding-dino-base"):
        assert find_grounding_dino(wanted) == tmp_path / "grounding-dino-base"
    (tmp_path / "grounding-dino-base" / "tokenizer.json").unlink()
    with pytest.raises(errors.NotFoundError, match=r"tokenizer.json, which belongs to .*, is not there"):
        find_grounding_dino()


def copied(folder: Path, target: Path, **settings: Any) -> Path:
    """The model with other settings in its configuration."""
    shutil.copytree(folder, target)
    path = target / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return target


def test_another_model_is_a_typed_error(folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "other", model_type="mm-grounding-dino")
    with pytest.raises(errors.InvalidArgumentError, match="other has a model of the type 'mm-grounding-dino', wanted"):
        GroundingDino(other)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("config.json", "can't be read"),
        ("preprocessor_config.json", "can't be read"),
        ("tokenizer.json", "tokenizer in"),
    ],
)
def test_a_broken_file_beside_the_weights_is_a_typed_error(folder: Path, tmp_path: Path, name: str, words: str) -> None:
    broken = copied(folder, tmp_path / "broken")
    (broken / name).write_text("{")
    with pytest.raises(errors.InvalidArgumentError, match=f"(?s){words}.*get the model again"):
        GroundingDino(broken)


def test_weights_that_lack_tensors_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    target = copied(folder, tmp_path / "short")
    tensors = load_file(target / "model.safetensors")
    del tensors["model.enc_output.weight"]
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(errors.AbortedError, match=r"lacks 1 tensors of its network, such as model\.enc"):
        GroundingDino(target).detect([Query(np.zeros((32, 32, 3), np.uint8), "leaf")])


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_weights_stored_in_f16_run_in_f32(
    folder: Path, photographs: list[np.ndarray], tmp_path: Path, backend: Any
) -> None:
    target = copied(folder, tmp_path / "half")
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(target / "model.safetensors").items()
    }
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    (found,) = GroundingDino(target, GroundingConfig(backend=backend)).detect([Query(photographs[0], CAPTIONS[0])])
    assert len(found.scores) > 0


@pytest.mark.parametrize("package", ["transformers", "torch", "onnx"])
def test_what_is_not_installed_is_told_when_it_is_registered(
    folder: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with vf.Engine() as engine, pytest.raises(errors.MissingExtraError, match=rf"needs {package}.*\[grounding\]"):
        register_grounding(engine, GroundingConfig(model=folder, backend="onnxruntime"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("torch/_C.so: undefined symbol: x", name="torch._C"), "can't be imported: torch/_C.so"),
        (OSError("libtorch.so: cannot open shared object file"), "can't be imported: libtorch.so"),
    ],
)
def test_a_library_that_does_not_load_says_why(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise error

    monkeypatch.setitem(sys.modules, "transformers", Broken("transformers"))
    with pytest.raises(errors.MissingExtraError, match=words):
        transformers_class("GroundingDinoForObjectDetection")


def test_an_export_that_is_damaged_is_made_anew(
    folder: Path, model: GroundingDino, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canvas, _ = model.batch_key(192, 128, "leaf")
    name = exported(folder, canvas).name
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    damaged = tmp_path / "exports" / name
    damaged.parent.mkdir()
    damaged.write_bytes(b"not a network")
    query = Query(np.full((128, 192, 3), 90, np.uint8), "leaf", box_threshold=0.0)
    (found,) = GroundingDino(folder, GroundingConfig(backend="onnxruntime")).detect([query])
    (expected,) = model.detect([query])
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    damaged.write_bytes(b"not a network")
    with pytest.raises(errors.AbortedError, match="could not be loaded on onnxruntime"):
        GroundingDino(folder, GroundingConfig(backend="onnxruntime")).detect([query])
