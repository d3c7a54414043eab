"""Checks an installed, repaired wheel: it decodes and encodes with the image libraries that it brings itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import vista_fast as vf

SYSTEM_LIBRARIES = ("libjpeg", "libpng", "libwebp")


def main() -> int:
    pixels = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    with vf.Engine(threads=1) as engine:
        image = engine.image(pixels)
        zoomed = engine.call("image.zoom", image, box=(8, 8, 40, 40), size=(64, 64), filter="bicubic")
        for format_name in ("png", "jpeg"):
            encoded = engine.call("image.encode", zoomed, format=format_name)
            decoded = engine.image(encoded)
            if (decoded.width, decoded.height) != (64, 64):
                print(f"{format_name}: decoded {decoded.width}x{decoded.height}, expected 64x64", file=sys.stderr)
                return 1

    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    image_libraries = [path for path in mapped if Path(path).name.startswith(SYSTEM_LIBRARIES)]
    outside = [path for path in image_libraries if "vista_fast.libs" not in path]
    if outside or len(image_libraries) < len(SYSTEM_LIBRARIES):
        print(f"expected the wheel's own {SYSTEM_LIBRARIES}; mapped: {sorted(image_libraries)}", file=sys.stderr)
        return 1
    print(f"wheel works with its own {sorted(Path(path).name for path in image_libraries)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
