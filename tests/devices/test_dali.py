"""DALI's pipelines as Ops, against the native Ops: on the CPU (``make dali-test`` brings DALI, 224 MB, and runs them),
and on a GPU in scripts/gpu_check.sh."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from sklearn.datasets import load_sample_images

import vista_fast as vf
from vista_fast.devices import DeviceImage, DeviceStore, register_dali
from vista_fast.devices.encoded import decodes_alike
from vista_fast.errors import InvalidArgumentError

pytest.importorskip("nvidia.dali", reason="DALI is not installed; make dali-test installs it and runs these")

CASES = [
    ((11, 4, 90, 101), (84, 84)),
    ((11.3, 4.9, 89.2, 100.5), (90, 50)),
    ((0, 0, 1, 1), (7, 7)),
    ((-5, 3, 500, 60), (300, 200)),
    (None, (5, 3)),
    ((7, 8, 40, 41), None),
]


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def ops(request: pytest.FixtureRequest) -> Iterator[tuple[vf.Engine, DeviceStore]]:
    with vf.Engine(threads=1) as engine:
        store = DeviceStore(request.param)
        register_dali(engine, store, max_batch=4)
        yield engine, store


def noise(height: int = 120, width: int = 90) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray, format: str, mode: str | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels, mode).save(buffer, format, **options)
    return buffer.getvalue()


def turned() -> PIL.Image.Exif:
    """A quarter to the right, when it is shown."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("filter", ["bicubic", "bilinear", "lanczos"])
@pytest.mark.parametrize(("box", "size"), CASES)
def test_zoom_is_the_native_zoom_within_the_stated_difference(ops, filter: str, box, size) -> None:
    engine, _ = ops
    photograph = load_sample_images().images[0][100:300, 200:400]
    wide = 2 if filter == "lanczos" else 1
    for pixels, most in ((noise(), 24 * wide), (photograph, 12)):
        image = engine.image(pixels)
        want = np.asarray(engine.call("image.zoom", image, box=box, size=size, filter=filter)).astype(int)
        got = engine.call("dali.zoom", image, box=box, size=size, filter=filter)
        off = np.abs(np.asarray(got.to_host()).astype(int) - want)
        assert off.max() <= most
        assert off.mean() <= (0.5 * wide if off.size > 100 else 3)


FILES = {
    "JPEG": encoded(noise(), "JPEG", quality=90),
    "JPEG, 4:2:2, odd sides": encoded(noise(41, 61), "JPEG", subsampling=1),
    "JPEG, progressive, 4:4:4": encoded(noise(41, 61), "JPEG", subsampling=0, progressive=True),
    "JPEG, grey": encoded(noise()[..., 0], "JPEG"),
    "JPEG, CMYK": encoded(np.dstack([noise(), noise()[..., 0]]), "JPEG", mode="CMYK"),
    "JPEG, RGB": encoded(noise(), "JPEG", keep_rgb=True),
    "JPEG, turned": encoded(noise(), "JPEG", exif=turned()),
    "PNG": encoded(noise(), "PNG"),
    "PNG, grey": encoded(noise()[..., 0], "PNG"),
    "PNG, RGBA": encoded(np.dstack([noise(), noise()[..., 0]]), "PNG"),
    "PNG, grey and alpha": encoded(noise()[..., :2], "PNG", mode="LA"),
    "PNG, one colour transparent": encoded(noise(), "PNG", transparency=tuple(noise()[0, 0].tolist())),
    "PNG, palette": encoded(noise()[..., 0], "PNG", mode="P"),
    "PNG, turned": encoded(noise(), "PNG", exif=turned()),
    "PNG, 16 bits": (Path(__file__).parents[1] / "fuzz/corpus/decode/grey16.png").read_bytes(),
    "WebP": encoded(noise(), "WEBP", quality=70),
    "WebP, RGBA": encoded(np.dstack([noise(), noise()[..., 0]]), "WEBP", lossless=True),
}


ALIKE = [*list(FILES)[:4], "JPEG, turned", "PNG", "PNG, grey"]


@pytest.mark.parametrize("name", FILES)
def test_decoded_pixels_are_the_native_ones(ops, name: str) -> None:
    engine, store = ops
    want = engine.image(FILES[name])
    got = engine.call("dali.decode", encoded=FILES[name])
    another = store.device.type == "cuda" and decodes_alike(FILES[name])
    assert (got.hash == want.hash) is not another
    if not another or name.startswith("PNG"):
        np.testing.assert_array_equal(got.to_host(), want)
    assert decodes_alike(FILES[name]) is (name in ALIKE)


def test_what_the_native_decoder_refuses_is_refused(ops) -> None:
    engine, _ = ops
    for data in (encoded(noise(), "BMP"), b"", b"no picture", FILES["PNG, RGBA"][:900], FILES["JPEG"][:900]):
        with pytest.raises(InvalidArgumentError):
            engine.call("dali.decode", encoded=data)


def test_a_gpu_decodes_photographs_to_nearly_the_same(ops) -> None:
    engine, _ = ops
    data = encoded(load_sample_images().images[0], "JPEG", quality=90)
    got = np.asarray(engine.call("dali.decode", encoded=data).to_host()).astype(int)
    off = np.abs(got - np.asarray(engine.image(data)))
    assert off.mean() <= 1
    assert off.max() <= 48


def test_normalise_is_zoom_normalised(ops) -> None:
    engine, _ = ops
    image, mean, std = engine.image(noise()), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    options = {"box": (3, 4, 80, 99), "size": (40, 30)}
    zoomed = np.asarray(engine.call("dali.zoom", image, **options).to_host()).transpose(2, 0, 1) / 255
    got = engine.call("dali.normalise", image, **options, mean=mean, std=std).to_host()
    want = (zoomed - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_batch_changes_nothing_and_a_bad_member_fails_alone(ops) -> None:
    engine, store = ops
    images = [noise(20 + 9 * n, 70 - 5 * n) for n in range(7)]
    calls = [
        {"image": engine.image(pixels), "box": (2, 3, 30, 19), "size": (9 + n, 11)} for n, pixels in enumerate(images)
    ]
    calls[3] = {**calls[3], "box": (400, 400, 500, 500)}
    futures = [engine.submit("dali.zoom", **call) for call in calls]
    with pytest.raises(InvalidArgumentError, match="lies outside"):
        futures[3].result()
    for n in (0, 1, 2, 4, 5, 6):
        alone = vf.Image.from_array(np.asarray(futures[n].result().to_host()))
        with vf.Engine(threads=1) as other:
            register_dali(other, DeviceStore(str(store.device)), max_batch=1)
            single = other.call("dali.zoom", images[n], box=calls[n]["box"], size=calls[n]["size"])
        np.testing.assert_array_equal(single.to_host(), alone)


def test_calls_run_where_their_image_lives(ops) -> None:
    engine, store = ops
    host = engine.image(noise())
    assert isinstance(engine.call("image.zoom", host, box=(0, 0, 50, 40), size=(20, 10)), vf.Image)
    once = engine.call("image.zoom", store.put(host), box=(0, 0, 50, 40), size=(20, 10))
    assert isinstance(once, DeviceImage)
    assert engine.call("dali.zoom", store.put(host), box=(0, 0, 50, 40), size=(20, 10), filter=None) is once
    twice = engine.submit("image.zoom", once, box=(1, 1, 9, 9)).result()
    np.testing.assert_array_equal(twice.to_host(), np.asarray(once.to_host())[1:9, 1:9])
    (again, at_home) = engine.submit_many(
        "image.zoom", [{"image": once, "box": (1, 1, 9, 9)}, {"image": host, "size": (5, 5)}]
    ).result()
    assert again is twice
    assert isinstance(at_home, vf.Image)


def test_resize_is_the_zoom_of_the_whole_image_there(ops) -> None:
    engine, store = ops
    host = engine.image(noise())
    resized = engine.call("image.resize", store.put(host), size=(20, 10), filter="bilinear")
    assert isinstance(resized, DeviceImage)
    assert engine.call("image.zoom", store.put(host), size=(20, 10), filter="bilinear") is resized
    want = np.asarray(engine.call("image.resize", host, size=(20, 10), filter="bilinear")).astype(int)
    assert np.abs(np.asarray(resized.to_host()) - want).max() <= 24


def test_an_image_too_large_to_be_held_is_worked_on_all_the_same() -> None:
    with vf.Engine(threads=1) as engine:
        store = DeviceStore("cpu", budget_bytes=100)
        register_dali(engine, store)
        zoomed = engine.call("image.zoom", store.put(engine.image(noise())), size=(5, 5))
    assert (zoomed.width, store.stats()["entries"]) == (5, 1)


@pytest.mark.parametrize(
    ("op", "arguments", "error", "message"),
    [
        ("dali.zoom", {}, InvalidArgumentError, "give a DeviceImage"),
        (
            "dali.zoom",
            {"image": noise(4, 4), "filter": "nearest"},
            InvalidArgumentError,
            "bicubic, lanczos.*to_host",
        ),
        ("dali.zoom", {"image": noise(4, 4), "boxes": []}, InvalidArgumentError, "unknown arguments"),
        ("dali.resize", {"image": noise(4, 4)}, InvalidArgumentError, "size is missing; give"),
        (
            "dali.resize",
            {"image": noise(4, 4), "size": (2, 2), "source": (0.5, 0, 3, 4)},
            InvalidArgumentError,
            "leave it out, cut whole pixels by image.zoom",
        ),
        ("dali.resize", {"image": noise(4, 4), "size": (2, 2), "box": None}, InvalidArgumentError, "unknown arguments"),
        ("dali.normalise", {"image": noise(4, 4), "std": (1, 0, 1)}, InvalidArgumentError, "above 0"),
        ("dali.decode", {"encoded": b""}, InvalidArgumentError, "has 0 bytes"),
        ("dali.decode", {"encoded": b"not an image at all"}, InvalidArgumentError, "no JPEG, PNG or WebP"),
        ("dali.decode", {"encoded": encoded(noise(), "PNG")[:900]}, InvalidArgumentError, "can't decode an image"),
        ("dali.decode", {"encoded": 3}, InvalidArgumentError, "give encoded="),
    ],
)
def test_wrong_calls_are_typed_errors_and_the_engine_goes_on(
    ops, op: str, arguments: dict, error, message: str
) -> None:
    engine, _ = ops
    arguments = dict(arguments)
    image = arguments.pop("image", None)
    with pytest.raises(error, match=message):
        engine.call(op, image, **arguments) if image is not None else engine.call(op, **arguments)
    data = encoded(noise(5, 6), "PNG")
    assert engine.call("dali.decode", encoded=data).width == 6


def test_the_pipeline_beside_ours_in_the_gpu_benchmark_makes_the_same_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts"))
    workloads, bench = importlib.import_module("gpu_workloads"), importlib.import_module("gpu_bench")
    small = workloads.Workload("small", 5, 2, (60, 90), (0.4, 0.9), 56, (56 * 56, 84 * 84))
    regions = workloads.make_regions(small, 0, "cpu")
    run = bench.dali_patches(regions)
    want = importlib.import_module("vista_fast.kernels.reference").crop_resize_patchify(regions.patchify())
    for _ in range(2):
        off = (run() - want).abs()
        assert off.max() <= 24 / 255 / min(regions.patchify().std)
        assert off.mean() <= 0.02
