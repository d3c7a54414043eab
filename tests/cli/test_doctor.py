"""What doctor concludes from what it finds; each conclusion on a machine that is made up for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vista_fast as vf
from vista_fast.cli import doctor, installed
from vista_fast.cli.choices import Choice, Found, choices, cuda_of
from vista_fast.cli.machine import Gpu, Machine, describe
from vista_fast.cli.main import main
from vista_fast.errors import VistaError
from vista_fast.models.backend import registry
from vista_fast.models.grounding import GroundingConfig, coco, register_grounding
from vista_fast.models.grounding.ops import which_answers, why_not_here
from vista_fast.models.ocr import OcrConfig
from vista_fast.models.weights import fetch_weight

CPU_BOX = Machine("Linux", "3.11", "a CPU", ("avx2",), 8, None, 16 << 30, ())
GPU_BOX = replace(CPU_BOX, gpus=(Gpu("a GPU", "580", "80 GiB"),))
FULL = {
    "onnx": "1.22",
    "onnxruntime": "1.2",
    "openvino": "2026.4",
    "rapidocr": "3.10",
    "torch": "2.13",
    "transformers": "5.2",
    "triton": "3.9",
    "vllm": "0.11",
}


def chosen(
    machine: Machine = CPU_BOX,
    *,
    without: str = "",
    core: str | None = None,
    cuda: str | None = None,
    setting: str | None = None,
) -> list[Choice]:
    versions = {name: version for name, version in FULL.items() if name not in without.split()}
    return choices(Found(machine, versions, core, cuda, setting))


def row(rows: list[Choice], start: str) -> Choice:
    return next(each for each in rows if each.what.startswith(start))


def test_openvino_goes_before_onnx_runtime() -> None:
    rows = chosen()
    assert row(rows, "OpenVINO").state == "used"
    assert row(rows, "ONNX Runtime").state == "not used"
    assert "OpenVINO goes first" in row(rows, "ONNX Runtime").why
    assert row(chosen(without="openvino"), "ONNX Runtime").state == "used"


def test_our_own_kernels_are_told_of() -> None:
    found = Found(describe(), FULL, None, None, own_kernels=True)
    assert "our own kernels for AMX" in row(choices(found), "OpenVINO").why
    assert "our own kernels" not in row(choices(replace(found, own_kernels=False)), "OpenVINO").why
    assert "our own kernels" not in row(choices(replace(found, setting="onnxruntime")), "ONNX Runtime").why


def test_what_doctor_says_of_ocr_is_what_ocr_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OcrConfig().library == "openvino"
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "openvino" else object())
    assert OcrConfig().library == "onnxruntime"


def test_a_setting_overrides_which_backend_is_used() -> None:
    rows = chosen(setting="onnxruntime")
    assert row(rows, "ONNX Runtime").state == "used"
    assert row(rows, "ONNX Runtime").why.startswith("VISTA_FAST_BACKEND names it")
    assert row(rows, "OpenVINO").state == "not used"


@pytest.mark.parametrize(
    ("setting", "why"),
    [("caffe", "no such backend; choose one of onnxruntime"), ("tensorrt", "pip install tensorrt")],
)
def test_a_setting_that_can_not_be_met_is_missing(setting: str, why: str) -> None:
    first = chosen(setting=setting)[1]
    assert first.state == "missing"
    assert why in first.why


def test_a_setting_that_does_not_run_here_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for weight in (coco.GRAPH, coco.WEIGHT):
        fetch_weight(weight)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for setting, why in (("torch", "'torch' opens files of its own only"), ("tensorrt_rtx", "'tensorrt_rtx' runs on")):
        monkeypatch.setenv("VISTA_FAST_BACKEND", setting)
        assert main(["doctor", "--json"]) == 1
        found = json.loads(capsys.readouterr().out)["choices"]
        first = next(each for each in found if each["job"] == "networks of tools (OCR)")
        assert first["state"] == "missing"
        assert first["why"].startswith(f"VISTA_FAST_BACKEND names it, but backend {why}")
        with vf.Engine(threads=1) as engine:
            registered = _error_of(lambda engine=engine: register_grounding(engine, GroundingConfig(model="coco")))
        assert why_not_here(GroundingConfig(model="coco")) == registered
        assert (registered is None) is (setting == "torch")


def _error_of(run: Callable[[], object]) -> str | None:
    try:
        run()
    except VistaError as error:
        return str(error)
    return None


def test_what_runs_on_onnx_runtime_in_any_case_is_told() -> None:
    assert row(chosen(), "ONNX Runtime").why.startswith("masks and tables run on it; else OpenVINO goes first")
    set_by_hand = row(chosen(setting="openvino"), "ONNX Runtime")
    assert set_by_hand.why.startswith("the encoder of masks, and tables, run on it; else OpenVINO goes first")


def test_tensorrt_waits_for_a_gpu() -> None:
    both = FULL | {"tensorrt-cu13": "11.4", "tensorrt-rtx-cu13-bindings": "1.7"}
    assert row(choices(Found(CPU_BOX, both, None, None)), "TensorRT 11").why == "no GPU (nvidia-smi shows none)"
    on_gpu = choices(Found(GPU_BOX, both, None, None, on_cuda="tensorrt"))
    assert row(on_gpu, "TensorRT 11").why == "it runs what is opened for device 'cuda'"
    assert row(on_gpu, "TensorRT for RTX").why == "TensorRT is what runs there"
    on_another = choices(Found(GPU_BOX, both, None, None, on_cuda="onnxruntime"))
    assert row(on_another, "TensorRT for RTX").why == "ONNX Runtime is what runs there"
    assert row(on_another, "ONNX Runtime").why.endswith("takes this one; it runs what is opened for device 'cuda'")
    assert row(choices(Found(GPU_BOX, both, None, None)), "TensorRT 11").why == "it does not run on this GPU"


@pytest.mark.parametrize(
    ("without", "what", "extra"),
    [
        ("openvino onnxruntime", "OpenVINO", "vista-fast[ocr]"),
        ("rapidocr", "rapidocr", "vista-fast[ocr]"),
        ("torch", "torch", "vista-fast[train]"),
        ("transformers", "torch", "vista-fast[train]"),
    ],
)
def test_what_is_missing_names_its_extra(without: str, what: str, extra: str) -> None:
    missing = row(chosen(without=without), what)
    assert missing.state == "missing"
    assert extra in missing.why


def test_a_core_that_does_not_load_says_why() -> None:
    missing = row(chosen(core="undefined symbol: x"), "C++ core")
    assert missing.state == "missing"
    assert "undefined symbol: x" in missing.why


@pytest.mark.parametrize(
    ("machine", "cuda", "why"),
    [(CPU_BOX, None, "no GPU"), (GPU_BOX, None, "without CUDA"), (GPU_BOX, "13.0", "scripts/gpu_check.sh")],
)
def test_triton_is_not_claimed_to_run(machine: Machine, cuda: str | None, why: str) -> None:
    triton = row(chosen(machine, cuda=cuda), "Triton")
    assert triton.state == "not used"
    assert why in triton.why


@pytest.mark.parametrize(
    ("machine", "cuda", "dali", "why"),
    [
        (CPU_BOX, None, "2.4", "no GPU"),
        (CPU_BOX, None, None, "not installed: the C++ core decodes"),
        (GPU_BOX, None, "2.4", "built without CUDA"),
        (GPU_BOX, "13.0", "2.4", "register_dali() gives Ops on the GPU"),
        (GPU_BOX, "13.0", None, "pip install 'vista-fast[dali]'"),
    ],
)
def test_what_dali_is_for_is_told(machine: Machine, cuda: str | None, dali: str | None, why: str) -> None:
    versions = FULL | ({"nvidia-dali-cuda130": dali} if dali else {})
    dali_row = row(choices(Found(machine, versions, None, cuda)), "DALI")
    assert dali_row.state == "not used"
    assert why in dali_row.why
    assert dali is None or dali_row.what == f"DALI {dali}"


@pytest.mark.parametrize(
    ("machine", "cuda", "what", "why"),
    [
        (CPU_BOX, "13.0", "CUDA", "no GPU"),
        (GPU_BOX, None, "CUDA", "built without CUDA"),
        (GPU_BOX, "13.0", "CUDA 13.0", "when device 'cuda' is asked for"),
    ],
)
def test_what_cuda_is_for_is_told(machine: Machine, cuda: str | None, what: str, why: str) -> None:
    found = row(chosen(machine, cuda=cuda), "CUDA")
    assert (found.what, found.state) == (what, "not used")
    assert why in found.why


def test_the_model_that_grounds_is_told() -> None:
    def grounding(without: str = "", **given: Any) -> Choice:
        versions = {name: version for name, version in FULL.items() if name not in without.split()}
        rows = choices(Found(CPU_BOX, versions, None, None, **given))
        return next(each for each in rows if each.job == "grounding")

    assert grounding(grounder=("grounding-dino-tiny", "here")) == Choice(
        "grounding", "grounding-dino-tiny", "used", "here"
    )
    for package in ("transformers", "onnx"):
        without = grounding(package, grounder=("grounding-dino-tiny", "here"))
        assert without.state == "not used"
        assert "vista-fast[grounding]" in without.why
    assert grounding("transformers torch", grounder=("nanodet-g-coco", "here")).state == "used"
    refused = grounding(grounder=("nanodet-g-coco", "here"), grounder_refused="no GPU is here")
    assert (refused.state, refused.why) == ("not used", "here, but no GPU is here")
    none = grounding(grounder=(None, "there is none"))
    assert (none.what, none.state, none.why) == ("no model", "not used", "there is none")


def test_the_model_that_grounds_is_the_one_that_the_op_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    missing, why = which_answers()
    assert missing is None
    assert "vista-fast weights get grounding-dino-tiny" in why
    assert "vista-fast weights get nanodet-g-coco-graph" in why
    monkeypatch.setattr(coco, "check_here", lambda: None)
    assert which_answers()[0] == which_answers(GroundingConfig(model="coco"))[0] == coco.NAME
    folder = tmp_path / "my-own"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    assert which_answers(GroundingConfig(model="my-own")) == ("my-own", f"it is in {folder}")


def test_triton_is_not_missed_by_commands_that_do_not_use_it() -> None:
    assert row(chosen(without="triton"), "Triton").state == "not used"
    assert row(chosen(GPU_BOX, without="triton"), "Triton").state == "not used"


def test_the_policy_is_not_claimed_to_use_a_gpu() -> None:
    assert row(chosen(GPU_BOX, cuda="13.0"), "torch").why.startswith("CPU")


def test_a_torchvision_that_transformers_can_not_import_is_told_of() -> None:
    found = Found(CPU_BOX, FULL, None, None, torchvision_cuda="130")
    assert row(choices(found), "torch 2.13").state == "missing"
    assert "pip uninstall torchvision" in row(choices(found), "torch 2.13").why
    assert row(choices(replace(found, torch_cuda="13.0")), "torch 2.13").state == "used"


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", None),
        ("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n", "13.0"),
        ("__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\n", "13.0"),
        ("__version__ = '0.28.0+cu130'\n", "130"),
        ("__version__ = '0.28.0'\n", None),
    ],
)
def test_what_a_package_was_built_for_is_read_from_its_files(
    text: str, cuda: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "torchtest"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert cuda_of("torchtest") is None
    (package / "version.py").write_text(text)
    assert cuda_of("torchtest") == cuda
    assert cuda_of("torchtest_that_is_not_here") is None


def test_a_library_with_nothing_to_do_is_said_to_be_there() -> None:
    assert row(chosen(), "vLLM").state == "not used"
    assert not any(each.what.startswith("vLLM") for each in chosen(without="vllm"))


def test_a_quota_below_the_cores_is_pointed_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(doctor.machine, "describe", lambda: replace(CPU_BOX, quota=1.5))
    main(["doctor"])
    assert "grants 1.5 cores only: pass --threads 1" in capsys.readouterr().out


def test_this_machine_can_be_described() -> None:
    here = describe()
    assert here.cores >= 1
    assert here.memory > 1 << 20
    assert here.cpu


def test_extras_follow_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=1.24",
        'openvino>=2025; extra == "ocr"',
        'vista-fast[ocr,tasks]; extra == "train"',
        "matplotlib (>=3) ; extra == 'tasks'",
        'torch<3,>=2.6; extra == "train"',
        'triton>=3.2; platform_system == "Linux" and extra == "gpu"',
    ]
    monkeypatch.setattr(installed, "requires", lambda _: lines)
    assert installed.extras() == {
        "ocr": ["openvino"],
        "train": ["matplotlib", "openvino", "torch"],
        "tasks": ["matplotlib"],
        "gpu": ["triton"],
    }


def test_a_checkout_that_is_not_installed_has_no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise installed.PackageNotFoundError(name)

    monkeypatch.setattr(installed, "requires", absent)
    assert installed.extras() == {}
