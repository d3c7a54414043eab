"""What is used for each job on this machine, and why: a pure function of what was found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from vista_fast.cli.machine import Machine
from vista_fast.models.backend.choice import EXTRAS, SETTING, Chosen, choose, how_to_install

State: TypeAlias = Literal["used", "not used", "missing"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A job, what could do it, whether that is used here, and why (or what to do)."""

    job: str
    what: str
    state: State
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the choices depend on. ``versions`` maps normalised package names to versions; ``core`` is None when the
    compiled core loads, else why it does not; ``torch_cuda`` is the CUDA that torch was built for; ``setting`` is what
    VISTA_FAST_BACKEND names; ``grounder`` is the name of the model that grounds, None where there is none, and why;
    ``grounder_refused`` is why that does not run here, None where it does;
    ``on_cuda`` is the backend that runs what is opened for device "cuda" here, None where none does; ``own_kernels``
    says whether convolutions run in kernels of our own within OpenVINO's networks; ``refused`` is why the backend that
    is chosen for the networks of tools does not run them here, None where it does; ``torchvision_cuda`` is the CUDA
    that torchvision was built for."""

    machine: Machine
    versions: Mapping[str, str]
    core: str | None
    torch_cuda: str | None
    setting: str | None = None
    grounder: tuple[str | None, str] = (None, "it was not looked for")
    grounder_refused: str | None = field(default=None, kw_only=True)
    on_cuda: str | None = None
    own_kernels: bool = False
    refused: str | None = None
    torchvision_cuda: str | None = None

    @property
    def backends(self) -> dict[str, str]:
        """Version by name of the backends whose library is here."""
        found = {}
        for name, package in _PACKAGES_OF_BACKENDS.items():
            versions = [self.versions[each] for each in self.versions if re.fullmatch(package, each)]
            if versions:
                found[name] = versions[0]
        return found


# What brings a backend's module: the vendor's own package, or one per kind of CUDA or device.
_PACKAGES_OF_BACKENDS = {
    "openvino": r"openvino",
    "onnxruntime": r"onnxruntime(-gpu)?",
    "tensorrt": r"tensorrt(-cu\d+)?",
    "tensorrt_rtx": r"tensorrt-rtx(-cu\d+-bindings)?",
    "torch": r"torch",
}

# Everything that a choice looks at, by the start of the package's name.
PACKAGES = (
    "openvino",
    "onnx",
    "tensorrt",
    "nvidia-dali",
    "triton",
    "torch",
    "transformers",
    "vllm",
    "rapidocr",
    "pyarrow",
)


def choices(found: Found) -> list[Choice]:
    """One row per job and candidate, the one that is used first."""
    return [
        _core(found),
        *_networks(found),
        _grounding(found),
        *_generators(found),
        *_devices(found),
        *_device_code(found),
    ]


def cuda_of(package: str) -> str | None:
    """The CUDA version that the installed torch or torchvision was built for, read from its files; None without it or
    CUDA."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name("version.py")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    said = (re.search(pattern, text, re.MULTILINE) for pattern in _SAYS_CUDA)
    return next((match.group(1) for match in said if match), None)


_SAYS_CUDA = (r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", r"^__version__\b.*\+cu(\d+)['\"]")


def _core(found: Found) -> Choice:
    job = "images, scheduler"
    if found.core is not None:
        return Choice(job, "C++ core", "missing", f"{found.core}; pip install . from the checkout")
    return Choice(job, "C++ core", "used", "decode, crop, resize and batches run in native threads")


def _networks(found: Found) -> list[Choice]:
    """The backend that opens a network for the CPU, which is where tools run theirs by default, and the others."""
    job = "networks of tools (OCR)"
    chosen = choose(found.backends, setting=found.setting, gpu=bool(found.machine.gpus))
    rows = [_backend(found, job, name, chosen) for name in sorted(found.backends, key=lambda name: name != chosen.name)]
    if chosen.name not in found.backends:
        title = _TITLES.get(chosen.name, chosen.name)
        rows.insert(0, Choice(job, title, "missing", _how_to_get(chosen)))
    elif "rapidocr" not in found.versions:
        rows.append(Choice(job, "rapidocr", "missing", "it ships the OCR weights: pip install 'vista-fast[ocr]'"))
    return rows


_TITLES = {
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "tensorrt": "TensorRT",
    "tensorrt_rtx": "TensorRT for RTX",
    "torch": "PyTorch",
}


def _backend(found: Found, job: str, name: str, chosen: Chosen) -> Choice:
    what = f"{_TITLES[name]} {found.backends[name]}"
    if name == chosen.name and found.refused is not None:
        return Choice(job, what, "missing", f"{chosen.why}, but {found.refused}")
    if name == chosen.name:
        if name != "openvino":
            return Choice(job, what, "used", f"{chosen.why}; f32")
        ours = "; PP-OCR's convolutions run in our own kernels for AMX" if found.own_kernels else ""
        return Choice(job, what, "used", f"{chosen.why}; f32, in training bf16 where the CPU has it{ours}")
    return Choice(job, what, "not used", _why_not(found, name, chosen))


def _why_not(found: Found, name: str, chosen: Chosen) -> str:
    if name == "torch":
        return "it runs torch's own files (.pt, .pt2), not ONNX"
    if not name.startswith("tensorrt"):
        first = f"{_TITLES.get(chosen.name, chosen.name)} goes first: {chosen.why}; {SETTING}={name} takes this one"
        if name == "onnxruntime":
            always = "the encoder of masks, and tables, run" if found.setting else "masks and tables run"
            first = f"{always} on it; else {first}"
        return f"{first}; {_RUNS_ON_CUDA}" if name == found.on_cuda else first
    if not found.machine.gpus:
        return "no GPU (nvidia-smi shows none)"
    if name == found.on_cuda:
        return _RUNS_ON_CUDA
    if found.on_cuda is None:
        return "it does not run on this GPU"
    return f"{_TITLES[found.on_cuda]} is what runs there"


_RUNS_ON_CUDA = "it runs what is opened for device 'cuda'"


def _how_to_get(chosen: Chosen) -> str:
    if chosen.name not in EXTRAS:
        return f"{chosen.why}, and there is no such backend; choose one of {', '.join(sorted(EXTRAS))}"
    return f"{chosen.why}; {how_to_install(chosen.name)}"


def _grounding(found: Found) -> Choice:
    """Never missing: the commands run without it."""
    job = "grounding"
    name, why = found.grounder
    if name is None:
        return Choice(job, "no model", "not used", why)
    if "grounding-dino" in name.lower() and not {"torch", "transformers", "onnx"} <= set(found.versions):
        return Choice(job, name, "not used", f"{why}; its export needs pip install 'vista-fast[grounding]'")
    if found.grounder_refused is not None:
        return Choice(job, name, "not used", f"{why}, but {found.grounder_refused}")
    return Choice(job, name, "used", why)


def _generators(found: Found) -> list[Choice]:
    job = "policy"
    torch, transformers = found.versions.get("torch"), found.versions.get("transformers")
    if torch and transformers and found.torchvision_cuda and not found.torch_cuda:
        why = "torchvision is built for CUDA and torch is not, so that transformers can't be imported: "
        why += "pip uninstall torchvision"
        rows = [Choice(job, f"torch {torch}, transformers {transformers}", "missing", why)]
    elif torch and transformers:
        device = "CPU: the small policy of this version trains there" if found.machine.gpus else "CPU"
        rows = [Choice(job, f"torch {torch}, transformers {transformers}", "used", device)]
    else:
        rows = [Choice(job, "torch, transformers", "missing", "pip install 'vista-fast[train]'")]
    return rows + _others(found, job, {"vllm": "vLLM"}, "the commands of this version decode with transformers")


def _devices(found: Found) -> list[Choice]:
    """What holds and prepares images and runs networks off the CPU. Nothing does unless it is asked for."""
    job = "devices"
    dali = next((found.versions[name] for name in found.versions if name.startswith("nvidia-dali")), None)
    if not found.machine.gpus:
        why = "no GPU (nvidia-smi shows none)"
        of_dali = f"{why}: the C++ core decodes and resizes; register_dali() gives its Ops on the CPU"
        cuda = Choice(job, "CUDA", "not used", why)
    elif not found.torch_cuda:
        of_dali = why = "this torch is built without CUDA, and the device's images are its tensors"
        cuda = Choice(job, "CUDA", "not used", why)
    else:
        of_dali = "the C++ core decodes and resizes; register_dali() gives Ops on the GPU"
        why = "networks and images go there when device 'cuda' is asked for; the default is the CPU"
        cuda = Choice(job, f"CUDA {found.torch_cuda}", "not used", why)
    if dali is None:
        gets = "; pip install 'vista-fast[dali]' brings it" if found.machine.gpus and found.torch_cuda else ""
        return [cuda, Choice(job, "DALI", "not used", f"not installed: the C++ core decodes and resizes{gets}")]
    return [cuda, Choice(job, f"DALI {dali}", "not used", of_dali)]


def _device_code(found: Found) -> list[Choice]:
    job = "device kernels"
    triton = found.versions.get("triton")
    if triton is None:
        why = "no command launches a kernel in this version" if found.machine.gpus else "no GPU, so nothing is lost"
        rows = [Choice(job, "Triton", "not used", why)]
    elif not found.machine.gpus:
        rows = [Choice(job, f"Triton {triton}", "not used", "no GPU (nvidia-smi shows none)")]
    elif not found.torch_cuda:
        rows = [Choice(job, f"Triton {triton}", "not used", "this torch is built without CUDA")]
    else:
        why = "no command launches a kernel in this version; scripts/gpu_check.sh times them"
        rows = [Choice(job, f"Triton {triton}", "not used", why)]
    return rows


def _others(found: Found, job: str, names: Mapping[str, str], why: str) -> list[Choice]:
    """Rows of libraries that are there and have nothing to do."""
    rows = []
    for prefix, title in names.items():
        version = next((found.versions[name] for name in found.versions if name.startswith(prefix)), None)
        if version:
            rows.append(Choice(job, f"{title} {version}", "not used", why))
    return rows
