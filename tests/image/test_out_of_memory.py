"""Decoding and encoding without memory give a typed error, whatever the library calls it, and the engine serves on."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from pictures import noise
from PIL import Image as PilImage

pytestmark = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizers keep memory, and need it"
)

SIDE = 4000

# Sixteen megapixels in some kilobytes of flat colour.
PICTURES = {
    "rgb.png": ("RGB", "PNG", {"compress_level": 1}),
    "rgba.png": ("RGBA", "PNG", {"compress_level": 1}),
    "baseline.jpg": ("RGB", "JPEG", {}),
    "progressive.jpg": ("RGB", "JPEG", {"progressive": True}),
    "cmyk.jpg": ("CMYK", "JPEG", {}),
    "lossy.webp": ("RGB", "WEBP", {"method": 0}),
    "lossless.webp": ("RGB", "WEBP", {"lossless": True, "method": 0, "quality": 0}),
    "alpha.webp": ("RGBA", "WEBP", {"lossless": True, "method": 0, "quality": 0}),
}

PROGRAM = """
    import gc, resource, sys
    from pathlib import Path
    import vista_fast as vf

    files = {path.name: path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())}
    small = vf.Image.decode(files.pop("small.png"))
    noise = vf.Image.decode(files.pop("noise.png"))
    outcomes = {name: set() for name in files}
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        engine.call("image.resize", small, size=(64, 64))
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        for megabytes in (2, 10, 30, 50, 70, 90, 110, 130, 150, 170):
            for name, data in files.items():
                used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), most))
                try:
                    vf.Image.decode(data)
                    outcomes[name].add("decoded")
                except vf.errors.ResourceExhaustedError as error:
                    assert "no memory" in str(error), error
                    outcomes[name].add("refused")
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, (most, most))
        print(engine.call("image.resize", small, size=(16, 16)).width)
        print({name for name, seen in outcomes.items() if "refused" not in seen})
        for form, options in (("png", {"level": 0}), ("jpeg", {"quality": 100})):
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 19), most))
            try:
                noise.encode(form, **options)
            except vf.errors.ResourceExhaustedError as error:
                print(error)
            try:
                engine.call("image.encode", noise, format=form, **options)
            except vf.errors.ResourceExhaustedError as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        print(engine.call("image.resize", small, size=(17, 16)).width)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, (mode, form, options) in PICTURES.items():
        PilImage.new(mode, (SIDE, SIDE)).save(folder / name, form, **options)
    PilImage.fromarray(noise(32, 32, 1)).save(folder / "small.png")
    PilImage.fromarray(noise(3000, 3000, 2)).save(folder / "noise.png", compress_level=1)
    return folder


def test_no_memory_is_a_typed_error_in_every_format(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM), str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    served, never_refused, *encoding, again = done.stdout.splitlines()
    assert (served, never_refused, again) == ("16", "set()", "17")
    assert len(encoding) == 4
    assert all("no memory" in line for line in encoding)
