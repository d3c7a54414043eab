"""Triton compiles the kernel to machine code for a GPU that need not be there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from vista_fast.kernels.crop_resize import _crop_resize_normalise as kernel

TYPES = {"out": "*fp32", "pixels": "*u8", "offsets": "*i64", "widths": "*i32", "boxes": "*i32"}
constants = {"SUPPORT": 2, "BLOCK_Y": 16, "BLOCK_X": 32, "TAPS_Y": 32, "TAPS_X": 64}
if sys.argv[2] == "one":  # an argument of 1 becomes a constant
    constants |= {"size_y": 1, "size_x": 1}
signature = {
    name: "constexpr" if name in constants else TYPES.get(name, "i32" if name.startswith("size") else "fp32")
    for name in kernel.arg_names
}
target = GPUTarget("cuda", int(sys.argv[1]), 32)
compiled = triton.compile(ASTSource(kernel, signature, constexprs=constants), target=target, options={"num_warps": 4})
assert len(compiled.asm["cubin"]) > 10_000
print(compiled.metadata.shared)
"""


@pytest.mark.parametrize(("capability", "size"), [(80, "any"), (90, "any"), (90, "one")])
def test_compiles_within_the_shared_memory_of_a_gpu(capability: int, size: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-c", COMPILE, str(capability), size], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) <= 48 << 10
