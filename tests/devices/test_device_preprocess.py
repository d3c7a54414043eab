"""Qwen-VL's patches of images that live on a device: torch's CPU here, a CUDA device in scripts/gpu_check.sh."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from vista_fast.kernels import cuda_library, reference
from vista_fast.kernels.calls import CropPatchify

import vista_fast as vf
from vista_fast.devices import DeviceStore, DeviceTensor, register_preprocess
from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError

LEVEL = 1 / 255 / 0.26
"""One grey level after the normalisation."""


GPU_KERNELS = ["triton", "cuda_library"]


@pytest.fixture(
    scope="module",
    params=["cpu", "host_library", *(pytest.param(kernel, marks=pytest.mark.gpu) for kernel in GPU_KERNELS)],
)
def here(request: pytest.FixtureRequest) -> Iterator[tuple[vf.Engine, DeviceStore]]:
    with pytest.MonkeyPatch.context() as patch, vf.Engine(threads=1) as engine:
        library = None
        if request.param == "host_library":
            library = request.getfixturevalue("host_library")
        elif request.param == "triton":
            tiles = pytest.importorskip("vista_fast.kernels.tiles")
            if tiles.INTERPRETED:
                pytest.skip("Triton's interpreter was chosen, which would run on the CPU; run this file by itself")
            patch.setenv(cuda_library.SETTING, "/not/built")
            cuda_library._library.cache_clear()
        elif request.param == "cuda_library" and cuda_library.library_path() is None:
            pytest.skip("the CUDA kernels were not built")
        store = DeviceStore("cuda" if request.param in GPU_KERNELS else "cpu")
        register_preprocess(engine, store, library=library)
        assert ("cuda.preprocess" in engine.ops) == (request.param in ("host_library", "cuda_library"))
        yield engine, store


def noise(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same_memory(one: dict, other: dict) -> bool:
    return one["pixel_values"].tensor().data_ptr() == other["pixel_values"].tensor().data_ptr()


def test_the_same_call_gives_the_same_patches_on_the_host_and_on_the_device(here) -> None:
    engine, store = here
    images = [engine.image(noise(n, 40 + 31 * n, 150 - 20 * n)) for n in range(4)]
    options: list[dict] = [
        {},
        {"box": (3.5, 2, 90, 44)},
        {"min_pixels": 28 * 28 * 4, "max_pixels": 28 * 28 * 6},
        {"patch_size": 16, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    ]
    calls = [{"image": image} | option for image in images for option in options]
    want = engine.submit_many("image.preprocess", calls).result()
    there = [call | {"image": store.put(call["image"])} for call in calls]
    for one, other in zip(engine.submit_many("image.preprocess", there).result(), want, strict=True):
        assert isinstance(one["pixel_values"], DeviceTensor)
        assert one["grid_thw"] == tuple(other["grid_thw"])
        off = np.abs(one["pixel_values"].to_host() - other["pixel_values"])
        assert off.max() <= 2 * LEVEL
        assert (off > 1e-4).mean() < 0.01
    ran = "cuda.preprocess" if "cuda.preprocess" in engine.ops else "device.preprocess"
    assert 0 < engine.stats()["ops"][ran]["batches"] < len(calls)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_the_rounded_float32(here, dtype: str) -> None:
    engine, store = here
    image = store.put(engine.image(noise(9, 60, 60)))
    full = engine.call("image.preprocess", image)["pixel_values"].tensor()
    half = engine.call("image.preprocess", image, dtype=dtype)["pixel_values"].tensor()
    rounded = full.to(getattr(torch, dtype))
    if store.device.type == "cpu":
        torch.testing.assert_close(half, rounded)
    else:
        # Each is tuned by itself, so that their sums may differ in the last bit, and a level at a half by one.
        off = (half.float() - rounded.float()).abs()
        assert off.max() <= LEVEL + 2e-2
        assert (off > 2e-2).float().mean() < 0.01


def test_a_loop_calls_it_too_and_a_bad_member_fails_alone(here) -> None:
    engine, store = here
    image = store.put(engine.image(noise(1, 30, 30)))

    async def calls() -> list:
        given: list[dict] = [{}, {"box": (50, 50, 60, 60)}, {"processor": "clip"}, {"patch_size": 0}, {"colour": 1}]
        return await asyncio.gather(
            *(engine.acall("image.preprocess", image, **options) for options in given), return_exceptions=True
        )

    good, *bad = asyncio.run(calls())
    assert good["grid_thw"] == (1, 4, 4)
    assert all(isinstance(error, InvalidArgumentError) for error in bad)
    messages = ["lies outside", r"to_host|use one of 'qwen_vl'", "patch_size is 0", r"(unknown|no) argument.*colour"]
    assert all(re.search(message, str(error)) for message, error in zip(messages, bad, strict=True))


def test_equal_calls_share_one_result(here) -> None:
    engine, store = here
    there = store.put(engine.image(noise(5, 33, 47)))
    calls = [{"image": there}, {"image": there, "box": None, "patch_size": 14.0}, {"image": there, "processor": None}]
    one, *others = engine.submit_many("image.preprocess", calls).result()
    again = engine.call("image.preprocess", there, box=(0, 0, 47, 33))
    assert all(same_memory(one, other) for other in (*others, again))
    assert one["pixel_values"].bytes == int(np.prod(one["pixel_values"].shape)) * 4


def test_a_copy_on_the_host_is_its_readers_own(here) -> None:
    engine, store = here
    there = store.put(engine.image(noise(8, 33, 47)))
    first = engine.call("image.preprocess", there)["pixel_values"].to_host()
    want = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(engine.call("image.preprocess", there)["pixel_values"].to_host(), want)


@pytest.mark.parametrize(
    "wrong",
    [
        {"patch_size": float("inf")},
        {"patch_size": 1025},
        {"merge_size": 65},
        {"merge_size": 1.5},
        {"temporal_patch_size": 65},
        {"temporal_patch_size": True},
        {"min_pixels": float("inf")},
        {"min_pixels": 178_956_971},
        {"max_pixels": 178_956_971},
        {"max_pixels": 3135},
        {"mean": (0.5, float("inf"), 0.5)},
        {"std": (0.5, float("-inf"), 0.5)},
        {"std": (0.5, 0.0, 0.5)},
        {"mean": "grey"},
    ],
)
def test_what_is_refused_on_the_host_is_refused_on_the_device(here, wrong: dict) -> None:
    engine, store = here
    host = engine.image(noise(3, 30, 30))
    messages = []
    for image in (host, store.put(host)):
        with pytest.raises(InvalidArgumentError) as caught:
            engine.call("image.preprocess", image, **wrong)
        messages.append(re.sub(r"^(image|cuda)\.preprocess: ", "", str(caught.value)))
    if "give a whole number from" in messages[0]:
        on_host, on_device = (message.partition("; give a whole number from ") for message in messages)
        assert on_device[:2] == on_host[:2]


@pytest.mark.parametrize(("name", "value"), [("patch_size", float("nan")), ("mean", (0.5, float("nan"), 0.5))])
def test_what_is_no_number_is_refused(here, name: str, value: object) -> None:
    engine, store = here
    with pytest.raises(InvalidArgumentError, match=f"{name} (is )?.*nan"):
        engine.call("image.preprocess", store.put(engine.image(noise(3, 30, 30))), **{name: value})


def test_patches_beyond_the_limit_of_pixels_are_refused(here) -> None:
    engine, store = here
    host = engine.image(noise(3, 30, 30))
    for image in (host, store.put(host)):
        with pytest.raises(ResourceExhaustedError, match=r"65536 x 65536.* over the limit of 178956970"):
            engine.call("image.preprocess", image, patch_size=1024, merge_size=64)


def test_nothing_is_held_beyond_the_budget() -> None:
    with vf.Engine(threads=1) as engine:
        store = DeviceStore("cpu")
        register_preprocess(engine, store, budget_bytes=0)
        there = store.put(engine.image(noise(6, 33, 47)))
        first, second = (engine.call("image.preprocess", there) for _ in range(2))
        assert not same_memory(first, second)
        with pytest.raises(InvalidArgumentError, match="budget_bytes is -1"):
            register_preprocess(engine, store, budget_bytes=-1)


def test_a_batch_that_does_not_fit_is_made_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    made, room = [], [2]
    usual = reference.crop_resize_patchify

    def limited(launch: CropPatchify) -> torch.Tensor:
        made.append(len(launch.grid_thw))
        if made[-1] > room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return usual(launch)

    monkeypatch.setattr(reference, "crop_resize_patchify", limited)
    with vf.Engine(threads=1) as engine:
        store = DeviceStore("cpu")
        register_preprocess(engine, store)
        images = [store.put(engine.image(noise(seed, 40, 50))) for seed in range(5)]

        async def calls() -> list:
            return await asyncio.gather(*(engine.acall("image.preprocess", image) for image in images))

        found = asyncio.run(calls())
        assert max(made) > 2
        for image, one in zip(images, found, strict=True):
            np.testing.assert_allclose(
                one["pixel_values"].to_host(),
                engine.call("image.preprocess", image.to_host())["pixel_values"],
                atol=0.02,
            )
        room[0] = 0
        with pytest.raises(ResourceExhaustedError, match=r"single image.*2\.00 GiB"):
            engine.call("image.preprocess", images[0], min_pixels=100_000)
        room[0] = 2
        assert engine.call("image.preprocess", images[0], min_pixels=100_000)["grid_thw"]


def test_it_is_called_by_its_own_name_too(here) -> None:
    engine, store = here
    host = engine.image(noise(7, 33, 47))
    by_name = engine.call("device.preprocess", host)
    assert same_memory(engine.call("device.preprocess", store.put(host)), by_name)


def test_an_engine_takes_one_device(here) -> None:
    engine, store = here
    with pytest.raises(InvalidArgumentError, match=r"(device|cuda)\.preprocess"):
        register_preprocess(engine, store)


def test_an_op_that_is_not_on_the_device_says_how_to_get_the_image_back(here) -> None:
    engine, store = here
    there = store.put(engine.image(noise(2, 9, 9)))
    with pytest.raises(InvalidArgumentError, match=r"image\.rotate runs on the host.*to_host"):
        engine.call("image.rotate", there, angle=90)
    with pytest.raises(InvalidArgumentError, match=r"does not lie on the host; pass its to_host"):
        engine.call("image.rotate", image=there, angle=90)
    with pytest.raises(InvalidArgumentError, match=r"to_host"):
        engine.image(there)
