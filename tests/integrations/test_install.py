"""``install`` is seen by the Auto classes, for every model type that it covers and both backends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vista_fast as vf

if find_spec("transformers") is None:
    pytest.skip("needs transformers", allow_module_level=True)

HOME = "vista_fast.integrations.transformers"
# Model type: the class that its checkpoints name, and the module here that has ours.
MODELS = {
    "qwen2_vl": ("Qwen2VLImageProcessor", "qwen"),
    "qwen2_5_vl": ("Qwen2VLImageProcessor", "qwen"),
    "qwen3_vl": ("Qwen2VLImageProcessor", "qwen"),
    "clip": ("CLIPImageProcessor", "encoders"),
    "siglip": ("SiglipImageProcessor", "encoders"),
    "llava": ("LlavaImageProcessor", "encoders"),
    "internvl": ("GotOcr2ImageProcessor", "encoders"),
}
BACKENDS = ["default", "pil", "torchvision"]
# What checkpoints of several ages say in "image_processor_type".
SUFFIXES = ["", "Fast", "Pil"]

PROGRAM = """
import json, sys
from pathlib import Path
from vista_fast.integrations.transformers import MODEL_TYPES, install

install()
import transformers

folder, models, backends, suffixes = Path(sys.argv[1]), *map(json.loads, sys.argv[2:])
assert sorted(models) == sorted(MODEL_TYPES), "the table lacks a model type"
found = {}
for model_type, (name, _) in models.items():
    for suffix in suffixes:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": name + suffix}))
        for backend in backends:
            named = {} if backend == "default" else {"backend": backend}
            processor = transformers.AutoImageProcessor.from_pretrained(folder, **named)
            found[f"{model_type} {suffix} {backend}"] = [type(processor).__module__, type(processor).__name__]

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

words = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "picture": 4}
tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")), bos_token="<s>", eos_token="</s>", pad_token="</s>"
)
(folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
whole = transformers.CLIPProcessor(transformers.AutoImageProcessor.from_pretrained(folder), tokenizer)
whole.save_pretrained(folder / "whole")
(folder / "whole" / "config.json").write_text(json.dumps({"model_type": "clip"}))
loaded = transformers.AutoProcessor.from_pretrained(folder / "whole", backend="pil")
found["AutoProcessor"] = [type(loaded.image_processor).__module__, type(loaded).__name__]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Module and name of what the Auto classes give; in a process of its own, which ``install`` changes."""
    folder = tmp_path_factory.mktemp("checkpoint")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), *map(json.dumps, (MODELS, BACKENDS, SUFFIXES))],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("model_type", MODELS)
def test_the_image_processor_is_ours(found: dict[str, list[str]], model_type: str, suffix: str, backend: str) -> None:
    name, module = MODELS[model_type]
    home, given = found[f"{model_type} {suffix} {backend}"]
    assert home == f"{HOME}.{module}"
    assert given.removesuffix("Pil") == name


def test_a_whole_processor_has_ours_in_it(found: dict[str, list[str]]) -> None:
    assert found["AutoProcessor"] == [f"{HOME}.encoders", "CLIPProcessor"]


FORK = """
import os, warnings

warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, about fork beside threads
import numpy as np
import vista_fast as vf
from vista_fast.integrations.transformers import CLIPImageProcessor, install
from vista_fast.integrations.transformers.current import current_engine

engine, picture = vf.Engine(threads=1), np.full((40, 50, 3), 9, np.uint8)
install(engine)
want = CLIPImageProcessor()(picture, return_tensors="np")["pixel_values"]
assert current_engine.get() is engine
child = os.fork()
if child == 0:
    found = CLIPImageProcessor()(picture, return_tensors="np")["pixel_values"]
    assert current_engine.get() is not engine and np.array_equal(found, want)
    print("computed in the child", flush=True)
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert current_engine.get() is engine
raise SystemExit(status)
"""


def test_the_child_of_a_fork_has_an_engine_of_its_own_where_one_was_given(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORK], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "computed in the child\n"), ran.stderr


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[vf.Engine]:
    from vista_fast.integrations.transformers.current import current_engine

    with vf.Engine(threads=1) as engine:
        monkeypatch.setattr(current_engine, "_given", engine)
        yield engine


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_a_torch_tensor_is_a_picture(engine: vf.Engine, last: bool) -> None:
    import torch
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Theirs

    from vista_fast.integrations.transformers import CLIPImageProcessorPil as Ours

    pixels = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    tensor: Any = torch.from_numpy(pixels if last else np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
    ours, theirs = (
        np.asarray(each()(images=[given], return_tensors="np")["pixel_values"])
        for each, given in ((Ours, tensor), (Theirs, pixels))
    )
    assert float(np.abs(ours - theirs).max()) <= 1e-5
    counts: dict[str, Any] = engine.stats()["ops"]["image.preprocess"]
    assert counts["succeeded"] == 1
