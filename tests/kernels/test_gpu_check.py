"""scripts/gpu_check: its comparisons run on the CPU, in Triton's interpreter; and it says when there is no GPU."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vista_fast.models.grounding.coco import GRAPH, WEIGHT
from vista_fast.models.weights import fetch_weight

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.usefixtures("scripts")
def test_every_comparison_agrees_on_a_small_workload() -> None:
    workloads = importlib.import_module("gpu_workloads")
    small = workloads.Workload("small", 3, 2, (30, 60), (0.4, 0.9), 24, (28 * 28, 56 * 56))
    found = importlib.import_module("gpu_parity").check_all(0, "cpu", (small,))
    assert all(one.agrees is not False for one in found), found
    assert sum(one.agrees is True for one in found) >= 9


@pytest.mark.usefixtures("scripts")
def test_networks_are_compared_output_by_output() -> None:
    for weight in (GRAPH, WEIGHT, "sam2-hiera-tiny-decoder"):
        fetch_weight(weight)
    models, agreement = importlib.import_module("gpu_models"), importlib.import_module("gpu_agreement")
    small = [each for each in models.NETWORKS if not each.name.endswith(("encoder", "cdla", "1m"))]
    found = list(models.compare_networks(0, "cpu", small))
    assert len(found) == 2 * len(small) == 8
    assert all(one.agrees and one.off < one.limit / 10 for one in found), found
    assert any(one.off > 0 for one in found)
    assert agreement.Agreement("a network that gives no numbers", float("nan"), 1).agrees is False


@pytest.mark.usefixtures("scripts")
def test_a_comparison_that_breaks_is_a_failure_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    parity = importlib.import_module("gpu_parity")

    def broken(*_: object) -> Iterator[object]:
        yield parity.Agreement("before", 0.0, 0)
        raise RuntimeError("no kernel image is available")

    for name in ("_references", "_kernels", "_in_core", "_overlay_and_masks", "_dali", "_models"):
        monkeypatch.setattr(parity, name, lambda *_: iter(()))
    monkeypatch.setattr(parity, "_cuda_library", broken)
    before, failed = parity.check_all(0, "cpu", ())
    assert before.agrees is True
    assert failed.agrees is False
    assert failed.why == "RuntimeError: no kernel image is available"


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def test_a(): pass\n@pytest.mark.skip\ndef test_b(): pass\n", "passed: 1, skipped: 1"),
        ("@pytest.mark.skip\ndef test_b(): pass\n", "not run: 1 skipped"),
        ("def test_a(): assert False\ndef test_b(): pass\n", "failed: 1 of 2"),
        ("import nothing_of_that_name\n", "failed: 1 of 1"),
    ],
)
def test_it_counts_the_tests_that_ran(tmp_path: Path, body: str, words: str) -> None:
    (tmp_path / "test_it.py").write_text(f"import pytest\n{body}")
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), f"--junitxml={report}"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    outcome = importlib.import_module("gpu_check").outcome
    assert outcome(report) == words
    assert outcome(tmp_path / "nowhere.xml").startswith("failed: no report")
    assert outcome(None) == "not run"


@pytest.mark.usefixtures("scripts")
def test_patches_of_the_peers_are_ours() -> None:
    bench, workloads = importlib.import_module("gpu_bench"), importlib.import_module("gpu_workloads")
    from vista_fast.kernels import reference
    from vista_fast.kernels.calls import CropPatchify
    from vista_fast.kernels.ragged import CropResize

    small = workloads.Workload("small", 2, 2, (30, 60), (0.4, 0.9), 56, (56 * 56, 56 * 56))
    regions = workloads.make_regions(small, 0, "cpu")
    call = regions.patchify(rounded=False)
    one = CropResize(call.images, call.rows[:1], call.boxes[:1], tuple(call.sizes[0].tolist()), "bicubic")
    values = reference.crop_resize_normalise(one)[0]
    ours = reference.crop_resize_patchify(
        CropPatchify(
            call.images, call.rows[:1], call.boxes[:1], call.sizes[:1], mean=one.mean, std=one.std, rounded=False
        )
    )
    assert torch.equal(bench.patches_of(values, 14, 2, 2), ours)


@pytest.mark.usefixtures("scripts")
def test_the_table_names_what_was_not_measured() -> None:
    record = {
        "workload": "some",
        "ms": {"Triton": [1.0, 2.0, 3.0], "DALI": [4.0, 8.0, 12.0]},
        "share_of_copy_bandwidth": {"Triton": 0.5, "DALI": 0.1},
        "ratio": {"DALI": [4.0, 4.0, 4.0]},
        "not_measured": {"transformers": "ImportError: no torchvision"},
    }
    machine = {"gpu": "a GPU", "torch": "2", "triton": "3", "cores": "16"}
    parity = [{"agrees": True}, {"agrees": None}]
    report = {"machine": machine, "commit": "0123456", "gpu_tests": "passed", "parity": parity}
    report["copy_bandwidth_bytes_per_s"] = 1e12
    some_op = {"op": "some op", "libraries": {"GPU": "a", "CPU": "b"}, "ratio": [2.0, 3.0, 4.0], "not_measured": ""}
    some_op["images_per_s"] = {"GPU": [2.0, 9.0, 12.0], "CPU": [1.0, 3.0, 3.0]}
    report["ops"] = [some_op, {"op": "another", "not_measured": "NotFoundError: no weights"}]
    table = importlib.import_module("gpu_check").table(report | {"records": [record]})
    assert "commit 0123456: 1 of 1 comparisons" in table
    assert "| some | DALI | 8.000 | 10 % | 4.0× (4.0 to 4.0) |" in table
    assert "not measured: ImportError: no torchvision" in table
    assert "| some op | 9.0 (a) | 3.0 (b) | 3.0× (2.0 to 4.0) |" in table
    assert "| another | not measured: NotFoundError: no weights | | |" in table


@pytest.mark.usefixtures("scripts")
def test_ops_are_measured_on_both_sides() -> None:
    for weight in (GRAPH, WEIGHT):
        fetch_weight(weight)
    ops = importlib.import_module("gpu_ops")
    read, coco = (dataclasses.replace(ops.WORKS[number], images=2) for number in (0, 3))
    broken = dataclasses.replace(coco, run=lambda engine, images: engine.call("no op"))
    measured = list(ops.measure_ops("cpu", [read, coco, broken]))
    assert [len(each["ratio"]) for each in measured] == [5, 5, 0]
    assert all(rate > 0 for each in measured for rates in each["images_per_s"].values() for rate in rates)
    assert measured[0]["libraries"] == {"GPU": "openvino", "CPU": "openvino"}
    assert "no op" in measured[2]["not_measured"]
    assert [each["failed"] for each in measured] == [False, False, True]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.usefixtures("scripts")
def test_what_no_library_runs_on_the_gpu_is_told_and_no_failure() -> None:
    ops, models = importlib.import_module("gpu_ops"), importlib.import_module("gpu_models")
    (measured,) = ops.measure_ops("cuda", ops.WORKS[:1])
    assert measured["failed"] is False
    assert "InvalidArgumentError" in measured["not_measured"]
    (found,) = models.compare_networks(0, "cuda", [])
    assert found.agrees is None
    assert "onnxruntime: this onnxruntime does not run on 'cuda'" in found.why


@pytest.mark.usefixtures("scripts")
def test_a_copy_without_history_is_told_its_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commit = importlib.import_module("gpu_check").commit
    assert re.fullmatch(r"[0-9a-f]+(-dirty)?|unknown", commit())
    monkeypatch.setenv("COMMIT", "89abcde")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert commit() == "89abcde"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    for command in ([str(SCRIPTS / "gpu_check.sh")], [sys.executable, str(SCRIPTS / "gpu_check.py")]):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert "nothing was" in result.stdout
