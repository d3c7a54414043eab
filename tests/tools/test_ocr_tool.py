"""The ocr tool over the engine: the text, its regions, and one detection for all."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

import vista_fast as vf
from vista_fast.models.ocr import OcrConfig, OcrModel, read_text
from vista_fast.models.ocr.reader import padded_width
from vista_fast.tools.perception import Ocr

Note = Callable[..., PilImage.Image]


def ran(toolbox: vf.Toolbox, op: str) -> int:
    """Calls of that Op which were computed so far."""
    sizes = toolbox.engine.stats()["ops"][op]["batch_size"]
    return round(sizes["count"] * sizes["mean"])


async def test_it_reads_what_the_model_reads(reading: vf.Toolbox, note: Note) -> None:
    page = note("Total 42.50", "Due 12 March", "a much longer line 98%")
    seen = await reading.call(vf.ToolCall("ocr"), images=[reading.engine.image(page)])
    model = OcrModel(OcrConfig(limit_side_len=320))
    assert seen.text == "\n".join(line.text for line in read_text(np.asarray(page), model))
    assert seen.text.splitlines()[0] == "Total 42.50"


async def test_eight_equal_calls_detect_and_read_once(reading: vf.Toolbox, note: Note) -> None:
    image = reading.engine.image(note("Group of eight", "reads once"))
    before = ran(reading, "ocr.detect"), ran(reading, "ocr.recognize")
    calls = [reading.record(vf.ToolCall("ocr"), images=[image], flow=f"rollout {index}") for index in range(8)]
    results = await asyncio.gather(*calls)
    assert {observation.text for observation, _ in results} == {"Group of eight\nreads once"}
    assert (ran(reading, "ocr.detect") - before[0], ran(reading, "ocr.recognize") - before[1]) == (1, 2)
    outcomes = [record.outcome for _, record in results]
    assert {"run", "joined"} <= set(outcomes)
    assert outcomes.count("run") <= 2


async def test_regions_share_the_detection_and_read_their_own_lines(reading: vf.Toolbox, note: Note) -> None:
    image = reading.engine.image(note("Alpha 11", "Beta 22", "Gamma 33"))
    before = ran(reading, "ocr.detect"), ran(reading, "ocr.recognize")
    top = vf.ToolCall("ocr", {"bbox_2d": [0, 0, 320, 70]})
    middle = vf.ToolCall("ocr", {"bbox_2d": [0.0, 0.2, 1.0, 0.45]})
    seen = await asyncio.gather(*(reading.call(call, images=[image]) for call in (top, middle)))
    assert [observation.text for observation in seen] == ["Alpha 11", "Beta 22"]
    assert (ran(reading, "ocr.detect") - before[0], ran(reading, "ocr.recognize") - before[1]) == (1, 2)
    whole, record = await reading.record(vf.ToolCall("ocr"), images=[image])
    assert whole.text == "Alpha 11\nBeta 22\nGamma 33"
    assert record.outcome == "run"
    assert ran(reading, "ocr.recognize") - before[1] == 3


async def test_wide_lines_of_several_flows_are_read_together_as_alone(reading: vf.Toolbox) -> None:
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 20)

    def page(shade: int) -> np.ndarray:
        image = PilImage.new("RGB", (700, 80), (shade, shade, shade))
        ImageDraw.Draw(image).text((10, 25), "a line of text which is wider than the least width", font=font, fill=0)
        return np.asarray(image)

    pages = [page(shade) for shade in range(225, 255, 5)]
    model = OcrModel(OcrConfig(limit_side_len=320))
    lines = [line for one in pages for line in read_text(one, model)]
    (width,) = {padded_width(700, 80, line.quad, model.config) for line in lines}
    assert width > 320
    engine = reading.engine
    before = engine.stats()["ops"]["ocr.recognize"]["batches"]
    calls = [
        engine.acall("ocr.recognize", engine.image(one), quad=tuple(line.quad.ravel().tolist()), flow=f"flow {index}")
        for index, (one, line) in enumerate(zip(pages, lines, strict=True))
    ]
    for line, read in zip(lines, await asyncio.gather(*calls), strict=True):
        assert read["text"] == line.text
        assert read["score"] == pytest.approx(line.score, abs=1e-4)
    assert engine.stats()["ops"]["ocr.recognize"]["batches"] - before < len(pages)


QUAD = (10, 10, 200, 10, 200, 60, 10, 60)


@pytest.mark.parametrize(
    ("op", "wrong", "message"),
    [
        ("ocr.detect", {"bogus": 3}, "ocr.detect has no argument 'bogus'; it takes image"),
        ("ocr.recognize", {"quad": QUAD, "bogus": 3}, "ocr.recognize has no argument 'bogus'; it takes image, quad"),
        ("ocr.recognize", {}, "quad must be 8 numbers .* got None"),
        ("ocr.recognize", {"quad": "abc"}, "quad must be 8 numbers .* got 'abc'"),
        ("ocr.recognize", {"quad": QUAD[:7]}, "quad must be 8 numbers"),
        ("ocr.recognize", {"quad": (*QUAD[:7], float("inf"))}, "quad must be 8 finite numbers"),
        ("ocr.recognize", {"quad": (*QUAD[:7], 641)}, "far outside of the image of 320 x 320 .* y from -320 to 640"),
        ("ocr.recognize", {"quad": (-321, *QUAD[1:])}, "far outside of the image"),
        ("ocr.recognize", {"quad": (1e9, 0, 2e9, 0, 2e9, 9, 1e9, 9)}, "far outside of the image"),
    ],
)
def test_a_wrong_call_of_an_op_is_refused_alone(
    reading: vf.Toolbox, note: Note, op: str, wrong: dict[str, object], message: str
) -> None:
    image = reading.engine.image(note("Beside a wrong call"))
    right: dict[str, object] = {"image": image} | ({"quad": QUAD} if op == "ocr.recognize" else {})
    before = reading.engine.stats()["ops"][op]["rerun_alone"]
    calls = [right, {"image": image} | wrong]
    found, refused = reading.engine.submit_many(op, calls).result(60, return_exceptions=True)
    assert isinstance(found, dict)
    assert isinstance(refused, vf.errors.InvalidArgumentError)
    assert re.search(message, str(refused))
    assert reading.engine.stats()["ops"][op]["rerun_alone"] == before


@pytest.mark.parametrize("op", ["ocr.detect", "ocr.recognize"])
def test_a_call_without_an_image_says_so(reading: vf.Toolbox, op: str) -> None:
    with pytest.raises(vf.errors.InvalidArgumentError, match=f"the image of {op}"):
        reading.engine.submit_many(op, [{}]).result(60)


async def test_images_of_one_size_share_a_batch(reading: vf.Toolbox, note: Note) -> None:
    images = [reading.engine.image(note(f"Number {index}0{index}")) for index in range(6)]
    before = reading.engine.stats()["ops"]["ocr.detect"]["batches"]
    seen = await asyncio.gather(*(reading.call(vf.ToolCall("ocr"), images=[image]) for image in images))
    assert [observation.text for observation in seen] == [f"Number {index}0{index}" for index in range(6)]
    assert reading.engine.stats()["ops"]["ocr.detect"]["batches"] - before < 6


async def test_no_text_is_a_result_and_not_an_error(reading: vf.Toolbox, note: Note) -> None:
    image = reading.engine.image(note("Only here"))
    below = await reading.call(vf.ToolCall("ocr", {"bbox_2d": [0, 200, 320, 320]}), images=[image])
    assert (below.text, below.error) == ("No text found in this region.", None)
    blank = await reading.call(vf.ToolCall("ocr"), images=[reading.engine.image(note())])
    assert (blank.text, blank.error) == ("No text found in the image.", None)


async def test_easyocr_answers_in_its_own_json(reading: vf.Toolbox, note: Note) -> None:
    image = reading.engine.image(note("First 1", "Second 2"))
    call = vf.ToolCall("easyocr", {"task": "ocr", "min_confidence": 0.2, "region": [0, 70, 320, 140]})
    result = json.loads((await reading.call(call, images=[image])).text)
    assert result["all_texts"] == ["Second 2"]
    (detection,) = result["detections"]
    assert set(detection) == {"bbox", "text", "confidence"}
    (left, top), _, (right, bottom), _ = detection["bbox"]
    assert 10 <= left < 30
    assert 70 < top < 95 < bottom < 125
    assert 100 < right < 200
    assert 0.9 < detection["confidence"] <= 1
    everything = vf.ToolCall("easyocr", {"min_confidence": 1.0})
    assert json.loads((await reading.call(everything, images=[image])).text)["all_texts"] == []


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [9, 9, 1, 1], [400, 0, 500, 9], [0, 0, 1], "all", [float("nan")] * 4])
async def test_a_wrong_region_is_an_observation(reading: vf.Toolbox, note: Note, box: object) -> None:
    for call in (vf.ToolCall("ocr", {"bbox_2d": box}), vf.ToolCall("easyocr", {"region": box})):
        seen = await reading.call(call, images=[reading.engine.image(note("text"))])
        assert seen.error is not None
        assert seen.error.kind == "E3"


async def test_prefetch_leaves_only_the_reading(reading: vf.Toolbox, note: Note) -> None:
    images = [reading.engine.image(note(f"Ahead {index}")) for index in range(3)]
    before = ran(reading, "ocr.detect")
    reading.prefetch(images)
    while ran(reading, "ocr.detect") - before < 3 or reading.engine.stats()["ops"]["ocr.detect"]["running"]:
        await asyncio.sleep(0.005)
    assert ran(reading, "ocr.detect") - before == 3
    seen = await asyncio.gather(*(reading.call(vf.ToolCall("ocr"), images=[image]) for image in images))
    assert [observation.text for observation in seen] == ["Ahead 0", "Ahead 1", "Ahead 2"]
    assert ran(reading, "ocr.detect") - before == 3


async def test_prefetch_without_ocr_or_engine_does_nothing(engine: vf.Engine, toolbox: vf.Toolbox, note: Note) -> None:
    image = engine.image(note("text"))
    toolbox.prefetch([image])
    assert "ocr.detect" not in engine.stats()["ops"]


async def test_an_engine_reads_one_way_only(reading: vf.Toolbox) -> None:
    vf.Toolbox.default(reading.engine, ocr=OcrConfig(limit_side_len=320))
    with pytest.raises(vf.errors.InvalidArgumentError, match="make another Engine"):
        vf.Toolbox.default(reading.engine, ocr=OcrConfig(limit_side_len=736))


async def test_expectations_open_and_close(reading: vf.Toolbox, note: Note) -> None:
    def expected() -> int:
        return int(reading.engine.stats()["ops"]["ocr.detect"]["expected"])

    image = reading.engine.image(note("Expected"))
    with reading.expect("flow a"):
        assert expected() == 1
        seen = await reading.call(vf.ToolCall("ocr"), images=[image], flow="flow a")
        assert expected() == 0
    with reading.expect("flow a"):
        assert expected() == 1
    assert expected() == 0
    assert seen.text == "Expected"


async def test_ocr_is_among_the_default_tools_and_loads_with_its_first_call(engine: vf.Engine, note: Note) -> None:
    toolbox = vf.Toolbox.default(engine)
    assert toolbox.names == ("zoom", "rotate", "ocr")
    assert {"easyocr", "image_zoom_in_tool", "image_rotate_tool"}.isdisjoint(toolbox.names)
    blocked = pytest.MonkeyPatch()
    blocked.setattr("vista_fast.models.backend.registry.find_spec", lambda _: None)
    with vf.Engine(threads=1) as other, pytest.raises(vf.errors.MissingExtraError, match=r"vista-fast\[ocr\]"):
        vf.Toolbox.default(other)
    blocked.undo()
    seen = await toolbox.call(vf.ToolCall("ocr"), images=[engine.image(note("Loaded 1"))])
    assert seen.text == "Loaded 1"


async def test_networks_that_never_return_lose_their_call_only(note: Note, monkeypatch: pytest.MonkeyPatch) -> None:
    model = OcrModel(OcrConfig(limit_side_len=320))
    stuck = threading.Event()

    class StuckOnce:
        def __init__(self, *_: object, **__: object) -> None:
            self.first = True

        def detect(self, images: list[np.ndarray]) -> object:
            if self.first:
                self.first = False
                stuck.wait()
            return model.detect(images)

        recognize = staticmethod(model.recognize)

    monkeypatch.setattr("vista_fast.models.ocr.ops.OcrModel", StuckOnce)
    try:
        with vf.Engine(threads=2) as engine:
            toolbox = vf.Toolbox.default(engine, ocr=OcrConfig(limit_side_len=320, timeout=3.0))
            image = engine.image(note("Still reads"))
            with pytest.raises(vf.errors.AbortedError, match="did not return within"):
                await toolbox.call(vf.ToolCall("ocr"), images=[image])
            assert (await toolbox.call(vf.ToolCall("ocr"), images=[image])).text == "Still reads"
    finally:
        stuck.set()


async def test_networks_that_can_not_be_loaded_lose_the_call_and_not_the_tool(
    monkeypatch: pytest.MonkeyPatch, note: Note
) -> None:
    attempts: list[OcrConfig] = []

    def loads_at_the_second_attempt(config: OcrConfig, *, threads: int) -> OcrModel:
        attempts.append(config)
        if len(attempts) == 1:
            raise RuntimeError("cannot allocate memory")
        return OcrModel(config, threads=threads)

    monkeypatch.setattr("vista_fast.models.ocr.ops.OcrModel", loads_at_the_second_attempt)
    with vf.Engine(threads=2) as engine:
        toolbox = vf.Toolbox.default(engine, ocr=OcrConfig(limit_side_len=320))
        image = engine.image(note("Reads now"))
        with pytest.raises(vf.errors.AbortedError, match=r"openvino could not be loaded .* memory"):
            await toolbox.call(vf.ToolCall("ocr"), images=[image])
        assert (await toolbox.call(vf.ToolCall("ocr"), images=[image])).text == "Reads now"


async def test_four_thousand_lines_keep_their_order_past_the_limit_of_calls() -> None:
    corners = [(x, y) for y in range(100) for x in range(40)]
    quads = np.array([[(x, y), (x + 0.9, y), (x + 0.9, y + 0.9), (x, y + 0.9)] for x, y in corners], np.float32) * 16
    found = {"quads": quads, "scores": np.ones(len(quads), np.float32)}

    def read(calls: list[dict]) -> list[dict]:
        return [{"text": f"{call['quad'][0]:.0f}.{call['quad'][1]:.0f}", "score": 1.0} for call in calls]

    with vf.Engine(threads=1, max_calls=64) as engine:
        engine.register(vf.Op("ocr.detect", "1", run=lambda calls: [found] * len(calls)))
        engine.register(vf.Op("ocr.recognize", "1", run=read))
        toolbox = vf.Toolbox(engine, [Ocr(min_score=0.5)])
        page = engine.image(np.zeros((1600, 640, 3), np.uint8))
        seen = await toolbox.call(vf.ToolCall("ocr"), images=[page])
        assert seen.text.splitlines() == [f"{16 * x}.{16 * y}" for x, y in corners]
        assert (await toolbox.call(vf.ToolCall("ocr"), images=[page])).text == seen.text


async def test_four_thousand_lines_are_read_in_one_call() -> None:
    page = PilImage.new("RGB", (2000, 2000), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 11)
    for line in range(4000):
        pen.text((50 * (line % 40) + 8, 20 * (line // 40) + 4), f"{line:04d}", font=font, fill="black")
    with vf.Engine(max_calls=64) as engine:
        toolbox = vf.Toolbox.default(engine, ocr=OcrConfig())
        seen = await toolbox.call(vf.ToolCall("ocr"), images=[engine.image(page)])
        lines = seen.text.splitlines()
        assert len(lines) == 4000
        # In other arithmetic than this machine's a digit may be read otherwise.
        assert sum(read == f"{line:04d}" for line, read in enumerate(lines)) >= 3980
