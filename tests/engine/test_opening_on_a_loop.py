"""acall opens encoded images beside its loop: deadlines run from the call, and what goes wrong is its exception."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_gate import WAIT, Gate
from PIL import Image as PilImage

import vista_fast as vf
from vista_fast.errors import DeadlineExceededError, EngineClosedError, InvalidArgumentError, NotFoundError


def png(shade: int) -> bytes:
    out = io.BytesIO()
    PilImage.new("RGB", (16, 8), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


def hold_openers(engine: vf.Engine, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Opening waits until the gate is opened."""
    gate, opened = Gate(), engine._images.resolve

    def resolve(source: Any) -> vf.Image:
        gate([{}])
        return opened(source)

    monkeypatch.setattr(engine._openers, "_open", resolve)
    return gate


async def test_the_loop_goes_on_while_an_image_is_decoded(engine: vf.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = hold_openers(engine, monkeypatch)
    future = engine.acall("image.resize", png(1), size=(4, 2))
    await asyncio.to_thread(gate.started.wait, WAIT)
    assert not future.done()
    assert await engine.acall("image.resize", engine.image(png(2)), size=(4, 2))
    gate.opened.set()
    assert (await future).width == 4


@pytest.mark.parametrize("kind", ["bytes", "path", "text path", "data URL"])
async def test_every_encoded_source_gives_the_same_image(engine: vf.Engine, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(png(3))
    source: Any = {
        "bytes": png(3),
        "path": file,
        "text path": str(file),
        "data URL": "data:image/png;base64," + base64.b64encode(png(3)).decode(),
    }[kind]
    small = await engine.acall("image.resize", source, size=(2, 2))
    np.testing.assert_array_equal(small, engine.call("image.resize", png(3), size=(2, 2)))


async def test_what_goes_wrong_is_the_exception_of_the_future(engine: vf.Engine) -> None:
    broken, absent = engine.acall("image.resize", b"no image", size=(2, 2)), engine.acall("image.resize", "absent.png")
    unknown = engine.acall("image.none", png(1))
    assert isinstance((await asyncio.gather(broken, return_exceptions=True))[0], InvalidArgumentError)
    with pytest.raises(NotFoundError, match=r"absent\.png"):
        await absent
    with pytest.raises(NotFoundError, match=r"image\.none"):
        await unknown


async def test_the_image_given_twice_is_refused_at_once(engine: vf.Engine) -> None:
    with pytest.raises(InvalidArgumentError, match="twice"):
        engine.acall("image.resize", png(1), image=engine.image(png(1)), size=(2, 2))


async def test_a_closed_engine_refuses_an_encoded_image_at_once() -> None:
    engine = vf.Engine(threads=1)
    engine.close()
    with pytest.raises(EngineClosedError, match="the engine is closed; create another Engine"):
        engine.acall("image.resize", png(1), size=(4, 2))


async def test_a_cancelled_call_is_never_submitted(engine: vf.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = hold_openers(engine, monkeypatch)
    future = engine.acall("image.resize", png(1), size=(4, 2))
    assert future.cancel()
    gate.opened.set()
    await engine.acall("image.resize", png(2), size=(4, 2))
    assert engine.stats()["ops"]["image.resize"]["submitted"] == 1


async def test_a_deadline_runs_from_the_call(engine: vf.Engine) -> None:
    with pytest.raises(DeadlineExceededError):
        await engine.acall("image.resize", png(1), size=(4, 2), deadline=0.0)


async def test_a_call_whose_engine_closes_while_its_image_opens_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with vf.Engine(threads=1) as engine:
        gate = hold_openers(engine, monkeypatch)
        future = engine.acall("image.resize", png(1), size=(4, 2))
        await asyncio.to_thread(gate.started.wait, WAIT)
    gate.opened.set()
    with pytest.raises(EngineClosedError, match="closed"):
        await future
