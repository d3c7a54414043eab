"""Box outlines: the Triton kernel against its torch reference and the native Op, which all agree to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_fast.kernels import reference
from vista_fast.kernels.box_overlay import box_overlay
from vista_fast.kernels.calls import BoxOverlay
from vista_fast.kernels.ragged import RaggedImages

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError


def noise(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 101 + width)
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_kernel_equals_reference_on_random_outlines(data: st.DataObject) -> None:
    shapes = data.draw(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=3))
    rows, boxes = [], []
    for _ in range(data.draw(st.integers(0, 5))):
        row = data.draw(st.integers(0, len(shapes) - 1))
        height, width = shapes[row]
        left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        rows.append(row)
        boxes.append((left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))))
    colors = data.draw(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=len(rows), max_size=len(rows)))
    widths = data.draw(st.lists(st.sampled_from([1, 2, 5, 1 << 40]), min_size=len(rows), max_size=len(rows)))
    call = BoxOverlay(
        RaggedImages.pack([noise(*shape) for shape in shapes]),
        torch.tensor(rows, dtype=torch.long),
        torch.tensor(boxes, dtype=torch.long).view(-1, 4),
        torch.tensor(colors, dtype=torch.uint8).view(-1, 3),
        torch.tensor(widths, dtype=torch.long),
    )
    block = data.draw(st.sampled_from([None, 64, 4096]))
    assert torch.equal(box_overlay(call, block=block).pixels, reference.box_overlay(call).pixels)


def test_equals_the_native_op() -> None:
    image, boxes, colors = noise(40, 50), [(3, 4, 30, 33), (10, 0, 50, 12), (7, 7, 8, 8)], [(255, 0, 0), (0, 9, 1)] * 2
    with vf.Engine(threads=1) as engine:
        want = engine.call("image.draw_boxes", image.numpy(), boxes=boxes, color=colors[:3], width=3)
    call = BoxOverlay(
        RaggedImages.pack([image]),
        torch.zeros(3, dtype=torch.long),
        torch.tensor(boxes),
        torch.tensor(colors[:3], dtype=torch.uint8),
        torch.full((3,), 3),
    )
    np.testing.assert_array_equal(box_overlay(call).image(0).numpy(), np.asarray(want))


def test_padded_lines_come_out_packed() -> None:
    buffer = torch.randint(0, 256, (5, 64), dtype=torch.uint8)
    shapes, pitches = torch.tensor([[5, 7]], dtype=torch.int32), torch.tensor([64], dtype=torch.int32)
    images = RaggedImages(buffer.flatten(), torch.tensor([0]), shapes, pitches)
    none = torch.empty((0, 4), dtype=torch.long)
    drawn = box_overlay(BoxOverlay(images, none[:, 0], none, none[:, :3].to(torch.uint8), none[:, 0]))
    assert torch.equal(drawn.pixels, buffer[:, :21].flatten())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colors": torch.tensor([[1, 2, 3]])}, "uint8"),
        ({"widths": torch.tensor([0])}, "at least 1"),
        ({"boxes": torch.tensor([[0, 0, 99, 4]])}, "leaves its image"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change: dict, message: str) -> None:
    arguments = {
        "images": RaggedImages.pack([noise(8, 10)]),
        "rows": torch.tensor([0]),
        "boxes": torch.tensor([[0, 0, 10, 8]]),
        "colors": torch.zeros((1, 3), dtype=torch.uint8),
        "widths": torch.tensor([2]),
    }
    with pytest.raises(InvalidArgumentError, match=message):
        BoxOverlay(**{**arguments, **change})


def test_a_block_that_is_no_power_of_two_is_refused() -> None:
    none = torch.empty((0, 4), dtype=torch.long)
    call = BoxOverlay(RaggedImages.pack([noise(8, 10)]), none[:, 0], none, none[:, :3].to(torch.uint8), none[:, 0])
    for block in (0, 48, 1 << 17):
        with pytest.raises(InvalidArgumentError, match=f"power of two of at most 65,536, or None, got {block}"):
            box_overlay(call, block=block)
