#!/usr/bin/env bash
# Compiles and times the Triton kernels beside torch on this machine's GPU.
#
#   scripts/gpu_check.sh [options of gpu_check.py]
#
# Uses $PYTHON, else .venv/bin/python, else python3; that Python needs the wheel with its gpu extra
# (pip install '.[gpu,train]') and a torch built for CUDA. Leaves with 1 when there is no such GPU or torch, with 2
# when a kernel disagrees with its reference.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)

if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
fi
cd "${TMPDIR:-/tmp}"  # away from the root, where ./vista_fast would hide the installed package
exec "$python" "$root/scripts/gpu_check.py" --results "$root/benchmarks/results" "$@"
