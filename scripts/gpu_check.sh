#!/usr/bin/env bash
# On a machine with a GPU: builds the CUDA kernels, runs every test marked gpu, compares each kernel and model with the
# CPU path, and times the kernels beside their peers and Ops on networks beside the CPU. Writes gpu.json and gpu.md to
# benchmarks/gpu.
#
#   scripts/gpu_check.sh [options of gpu_check.py]
#
# Uses $PYTHON, else .venv/bin/python, else python3; that Python needs the wheel with its gpu extra
# (pip install '.[gpu,train]'), a torch built for CUDA and pytest, and may have torchvision and the dali extra as peers.
# Networks run on the GPU with onnxruntime-gpu in onnxruntime's place (pip uninstall onnxruntime, pip install
# onnxruntime-gpu), or with a TensorRT that has this GPU; those are compared whose weights are here (`vista-fast weights
# list`).
# nvcc is taken from the path, or from `make cuda-compile`. Leaves with 0 when there is no GPU, having said so, and with
# 2 when a test fails, a result disagrees, or something could not be compared at all that is here.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)

gpus=$(nvidia-smi -L 2>/dev/null) || gpus=
if [ -z "$gpus" ]; then
  echo "gpu_check: no NVIDIA GPU here (nvidia-smi shows none): nothing was built, tested or measured"
  exit 0
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader

build_library() {
  local build=$root/build/gpu-check capability
  if command -v nvcc >/dev/null && command -v cmake >/dev/null; then
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0 | tr -d '. ')
    local generator=()
    if command -v ninja >/dev/null; then generator=(-G Ninja); fi
    cmake "${generator[@]}" -S "$root" -B "$build" -DVISTA_PYTHON=OFF -DVISTA_CUDA=ON \
      "-DCMAKE_CUDA_ARCHITECTURES=$capability" >&2 &&
      cmake --build "$build" --target vista_cuda -j >&2 && echo "$build/csrc/cuda/_cuda.so"
  else
    make -C "$root" cuda-compile >&2 && echo "$root/build/cuda/csrc/cuda/_cuda.so"
  fi
}
# The rest is worth knowing without it too; gpu_check.py counts it as a failure.
if ! library=$(build_library); then
  echo "gpu_check: the CUDA kernels could not be built; see above"
  library=$root/build/no-cuda-library
fi
export VISTA_FAST_CUDA_LIBRARY=$library

# Away from the root, where ./vista_fast would hide the installed package. The files that have tests marked gpu, because
# others need more than is installed here.
cd "$root/tests"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
# shellcheck disable=SC2046
"$python" -m pytest -q -m gpu --noconftest $(grep -rl 'mark\.gpu' --include='test_*.py' .) --junitxml="$report" || true
"$python" "$root/scripts/gpu_check.py" --results "$root/benchmarks/gpu" --tests "$report" "$@"
