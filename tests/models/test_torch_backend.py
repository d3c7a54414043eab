"""Modules and programs of torch behind the one interface."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from vista_fast.errors import InvalidArgumentError, NotFoundError, OpError, ResourceExhaustedError
from vista_fast.models import find_backend, open_model
from vista_fast.models.backend import Signature, TensorSpec, TorchModel, save_torch

FLOAT = np.dtype(np.float32)
SIGNATURE = Signature(
    (TensorSpec("x", (None, 3, None), FLOAT), TensorSpec("shift", (None,), FLOAT)),
    (TensorSpec("y", (None, 4, None), FLOAT), TensorSpec("mean", (None,), FLOAT)),
    {"character": "a\nb"},
)
ONE = Signature((TensorSpec("x", (None,), FLOAT),), (TensorSpec("y", (None,), FLOAT),), {})


class Shifted(torch.nn.Module):
    """Two outputs, one of them through a product."""

    def __init__(self) -> None:
        super().__init__()
        self.product = torch.nn.Conv1d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor, shift: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.product(x) + shift[:, None, None], x.mean(dim=(1, 2))


class Hungry(torch.nn.Module):
    """Wants ``each`` bytes per item, and nothing for the first."""

    def __init__(self, first: int, each: int) -> None:
        super().__init__()
        self.first = first
        self.each = each

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.empty(self.first + (x.shape[0] - 1) * self.each, dtype=torch.uint8)
        return x + 1


@pytest.fixture(scope="module")
def module() -> Shifted:
    torch.manual_seed(0)
    return Shifted().eval()


def batch(count: int, length: int = 7) -> dict[str, np.ndarray]:
    random = np.random.default_rng(count)
    return {"x": random.random((count, 3, length), np.float32), "shift": random.random(count, np.float32)}


def expected(module: Shifted, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        results = module(*(torch.from_numpy(array) for array in given.values()))
    return {name: tensor.numpy() for name, tensor in zip(("y", "mean"), results, strict=True)}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], tolerance: float = 1e-6) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, other[name], atol=tolerance)


def test_a_module_in_memory(module: Shifted) -> None:
    model = TorchModel.of_module(module, SIGNATURE)
    for count in (1, 5):
        same(model.run(batch(count)), expected(module, batch(count)))


def test_threads_share_a_module(module: Shifted) -> None:
    model = TorchModel.of_module(module, SIGNATURE)
    with ThreadPoolExecutor(4) as pool:
        for result, count in zip(
            pool.map(lambda count: model.run(batch(count)), range(1, 9)), range(1, 9), strict=True
        ):
            same(result, expected(module, batch(count)))


def test_a_result_owns_its_memory() -> None:
    model = TorchModel.of_module(torch.nn.Identity(), ONE)
    given = np.ones(3, np.float32)
    result = model.run({"x": given})["y"]
    given[:] = 2
    assert result.tolist() == [1, 1, 1]


def test_read_only_arrays_are_taken() -> None:
    given = np.ones(3, np.float32)
    given.flags.writeable = False
    assert TorchModel.of_module(torch.nn.Identity(), ONE).run({"x": given})["y"].tolist() == [1, 1, 1]


def test_an_exported_program_keeps_names_shapes_and_metadata(module: Shifted, tmp_path: Path) -> None:
    path = tmp_path / "shifted.pt2"
    save_torch(module, path, SIGNATURE, batch(2))
    model = open_model(path)
    assert (tuple(model.inputs), tuple(model.outputs)) == (SIGNATURE.inputs, SIGNATURE.outputs)
    assert model.metadata["character"] == "a\nb"
    for count, length in ((1, 5), (3, 16)):
        same(model.run(batch(count, length)), expected(module, batch(count, length)))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_is_opened_too(module: Shifted, tmp_path: Path) -> None:
    path = tmp_path / "shifted.pt"
    save_torch(torch.jit.trace(module, tuple(map(torch.from_numpy, batch(2).values()))), path, SIGNATURE, batch(2))
    same(open_model(path).run(batch(3)), expected(module, batch(3)))


def test_a_compiled_module_gives_the_same(module: Shifted) -> None:
    # The inductor takes a minute on two cores; this compiler stops before it makes native code.
    model = TorchModel.of_module(module, SIGNATURE, compiler="aot_eager")
    for count in (2, 5):
        same(model.run(batch(count)), expected(module, batch(count)))


@pytest.mark.parametrize(("precision", "tolerance"), [("f16", 2e-3), ("bf16", 1e-2)])
def test_lower_precisions_stay_near(module: Shifted, precision: str, tolerance: float) -> None:
    model = TorchModel.of_module(module, SIGNATURE, precision=precision)
    result, wanted = model.run(batch(4)), expected(module, batch(4))
    same(result, wanted, tolerance)
    assert not np.array_equal(result["y"], wanted["y"])


def test_a_batch_that_does_not_fit_the_memory_runs_in_halves() -> None:
    model = TorchModel.of_module(Hungry(0, 1 << 60), ONE)
    given = np.arange(7, dtype=np.float32)
    assert model.run({"x": given})["y"].tolist() == (given + 1).tolist()


def test_an_item_that_does_not_fit_the_memory_is_a_typed_error() -> None:
    model = TorchModel.of_module(Hungry(1 << 60, 0), ONE)
    with pytest.raises(ResourceExhaustedError, match=r"ran out of memory on x \[1\], which can't be split further"):
        model.run({"x": np.ones(4, np.float32)})


def test_other_failures_pass_through() -> None:
    with pytest.raises(OpError, match="signature says y"):
        TorchModel.of_module(Shifted(), Signature(SIGNATURE.inputs, ONE.outputs, {})).run(batch(1))


def test_inputs_that_do_not_fit_are_refused(module: Shifted) -> None:
    model = TorchModel.of_module(module, SIGNATURE)
    with pytest.raises(InvalidArgumentError, match="the network takes x, shift; got x"):
        model.run({"x": batch(1)["x"]})
    with pytest.raises(InvalidArgumentError, match=r"input x is float32 \[1, 2, 5\]"):
        model.run({"x": np.zeros((1, 2, 5), np.float32), "shift": np.zeros(1, np.float32)})


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_is_no_program_is_a_typed_error(module: Shifted, tmp_path: Path) -> None:
    load = find_backend("torch")
    with pytest.raises(NotFoundError, match=r"none\.pt2"):
        load(tmp_path / "none.pt2", threads=1, precision="f32")
    for name in ("broken.pt", "broken.pt2"):
        (tmp_path / name).write_bytes(b"not a program")
        with pytest.raises(InvalidArgumentError, match=rf"{name} can't be loaded"):
            load(tmp_path / name, threads=1, precision="f32")
    unnamed = tmp_path / "unnamed.pt"
    torch.jit.save(torch.jit.script(torch.nn.Identity()), unnamed)
    with pytest.raises(InvalidArgumentError, match="does not say the names"):
        load(unnamed, threads=1, precision="f32")
    with pytest.raises(InvalidArgumentError, match=r"ends in \.pt2"):
        save_torch(module, tmp_path / "x.pt", SIGNATURE, batch(1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="the error of a machine without a GPU")
def test_a_device_that_is_not_here_is_refused(module: Shifted) -> None:
    with pytest.raises(InvalidArgumentError, match="no device 'cuda' here"):
        TorchModel.of_module(module, SIGNATURE, device="cuda")
