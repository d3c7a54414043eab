"""Triton compiles the kernels to machine code for a GPU that need not be there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

COMPILE = """
import json
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from vista_fast.kernels import box_overlay, crop_patchify, crop_resize, mask_resize

NAMES = {
    "crop_resize": crop_resize._crop_resize_normalise,
    "crop_patchify": crop_patchify._crop_resize_patchify,
    "box_overlay": box_overlay._box_overlay,
    "mask_resize": mask_resize._mask_resize,
}
TYPES = dict.fromkeys(("crops", "images", "patches", "outlines", "masks"), "*i64")
TYPES |= {"pixels": "*u8", "threshold": "fp32"}
CONSTANTS = {"SUPPORT": 2, "ROUND": True, "BLOCK_Y": 32, "BLOCK_X": 64, "TAPS_Y": 32, "TAPS_X": 32, "BLOCK": 1024}
CONSTANTS |= {"PATCH": 14, "MERGE": 2, "TEMPORAL": 2}
ONES = {"size_y": 1, "size_x": 1, "height": 1, "width": 1, "stride_x": 1}  # an argument of 1 becomes a constant


def compile(name, capability, dtype, ones):
    kernel = NAMES[name]
    out = "u8" if name in ("box_overlay", "mask_resize") else dtype
    types = TYPES | {"out": f"*{out}", "scores": f"*{dtype}"}
    constants = CONSTANTS | (ONES if ones else {})
    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {
        name: types.get(name, "fp32" if name.startswith(("scale_", "shift_")) else "i32") for name in kernel.arg_names
    }
    source = ASTSource(kernel, signature | dict.fromkeys(constants, "constexpr"), constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 8})
    assert len(compiled.asm["cubin"]) > 1000
    return compiled.metadata.shared


for case in json.loads(sys.argv[1]):
    print(json.dumps([*case, compile(*case)]))
"""

CASES = [
    ("crop_resize", 80, "fp32", True),
    ("crop_patchify", 90, "fp16", False),
    ("crop_patchify", 100, "bf16", False),
    ("box_overlay", 90, "fp32", False),
    ("mask_resize", 80, "bf16", True),
]


def test_compiles_within_the_shared_memory_of_a_gpu() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE, json.dumps(CASES)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    compiled = [json.loads(line) for line in result.stdout.splitlines()]
    assert [tuple(case) for *case, _ in compiled] == CASES
    assert all(shared <= 99 << 10 for *_, shared in compiled), compiled
