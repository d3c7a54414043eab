"""What the input of a Qwen2-VL vision encoder costs: image.preprocess beside transformers' image processors.

One picture at a time on one thread, from decoded pixels, without a cache. transformers has two: the Pillow backend,
which our result equals within 1e-5, and the torchvision backend, which is measured when torchvision can be imported.
"installed" is our Op behind transformers' own interface (``vista_fast.integrations.transformers``), which has to hash
each picture on top.
Needs the extra train. Run it as ``python benchmarks/preprocess.py``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import vista_fast as vf
from vista_fast.integrations.transformers import Qwen2VLImageProcessor, install

RUNS = 9
SHAPES = [(448, 448), (480, 640), (960, 1280)]  # height, width
Preprocess = Callable[[torch.Tensor], object]


def torchvision_backend() -> Preprocess | None:
    """The processor over a uint8 tensor [3, height, width], the input that it is fastest on."""
    try:
        import torchvision  # noqa: F401
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor as Fast
    except (ImportError, RuntimeError) as error:
        print(f"torchvision backend: left out, torchvision can't be imported ({str(error).splitlines()[0]})")
        return None
    processor = Fast()
    return lambda planes: processor(images=planes, return_tensors="pt")["pixel_values"]


def measure(works: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Every peer in turn, RUNS times over, so that a change of the machine's speed meets all of them."""
    measured: dict[str, list[float]] = {name: [] for name in works}
    for run in range(RUNS + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if run > 0:  # the first warms caches
                measured[name].append(1e3 * (time.perf_counter() - start))
    return measured


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    pillow_backend = Qwen2VLImageProcessorPil()
    fast = torchvision_backend()
    print(f"ms per picture, median of {RUNS} (lowest to highest); peer / vista_fast")
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        install(engine)
        processor = Qwen2VLImageProcessor()
        for height, width in SHAPES:
            pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
            image, planes = vf.Image.from_array(pixels), torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

            def ours(image: vf.Image = image) -> object:
                return engine.call("image.preprocess", image)["pixel_values"]

            def pillow(planes: torch.Tensor = planes) -> object:
                return pillow_backend(images=planes.numpy(), return_tensors="np")["pixel_values"]

            difference = float(np.abs(np.asarray(ours()) - np.asarray(pillow())).max())

            def installed(planes: torch.Tensor = planes) -> object:
                return processor(images=planes.numpy(), return_tensors="np")["pixel_values"]

            works: dict[str, Callable[[], object]] = {
                "vista_fast": ours,
                "vista_fast, installed": installed,
                "transformers, Pillow": pillow,
            }
            if fast is not None:
                works["transformers, torchvision"] = lambda planes=planes: fast(planes)
            measured = measure(works)
            print(f"{width} x {height} (largest difference to the Pillow backend {difference:.1e})")
            for name, runs in measured.items():
                ratios = sorted(theirs / mine for mine, theirs in zip(measured["vista_fast"], runs, strict=True))
                print(
                    f"  {name:<28}{statistics.median(runs):>8.2f} ({min(runs):.2f} to {max(runs):.2f})"
                    f"   {statistics.median(ratios):.1f}x ({ratios[0]:.1f} to {ratios[-1]:.1f})"
                )


if __name__ == "__main__":
    main()
