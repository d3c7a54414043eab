#!/usr/bin/env bash
# On a machine with a GPU: builds the CUDA kernels, runs every test marked gpu, compares each kernel and model with the
# CPU path, and times the kernels beside their peers. Writes gpu.json and gpu.md to benchmarks/results.
#
#   scripts/gpu_check.sh [options of gpu_check.py]
#
# Uses $PYTHON, else .venv/bin/python, else python3; that Python needs the wheel with its gpu extra
# (pip install '.[gpu,train]'), a torch built for CUDA and pytest, and may have torchvision and the dali extra as peers.
# nvcc is taken from the path, or from `make cuda-compile`. Leaves with 0 when there is no GPU, having said so, and with
# 2 when a test fails or a result disagrees.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q .; then
  echo "gpu_check: no NVIDIA GPU here (nvidia-smi shows none): nothing was built, tested or measured"
  exit 0
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader

build=$root/build/cuda-gpu
if command -v nvcc >/dev/null && command -v cmake >/dev/null; then
  cmake -S "$root" -B "$build" -DVISTA_PYTHON=OFF -DVISTA_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native
  cmake --build "$build" --target vista_cuda -j
  library=$build/csrc/cuda/_cuda.so
else
  make -C "$root" cuda-compile
  library=$root/build/cuda/csrc/cuda/_cuda.so
fi
export VISTA_FAST_CUDA_LIBRARY=$library

# Away from the root, where ./vista_fast would hide the installed package. Tests of the kernels choose the interpreter.
cd "$root/tests"
tests=passed
"$python" -m pytest -q -m gpu --ignore=kernels || { [ $? -eq 5 ] || tests=failed; }
exec "$python" "$root/scripts/gpu_check.py" --results "$root/benchmarks/results" --tests "$tests" "$@"
