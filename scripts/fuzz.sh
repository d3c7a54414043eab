#!/usr/bin/env bash
# usage: scripts/fuzz.sh SECONDS
# Builds the fuzz targets and runs each for so many seconds, from the inputs in tests/fuzz/corpus. Inputs that reach new
# code are kept in build/fuzz/corpus for the next run; one that breaks a target is left in build/fuzz and fails this.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
root=$PWD
bin=$root/.venv/bin
work=$root/build/fuzz

"$bin/cmake" -G Ninja -DCMAKE_MAKE_PROGRAM="$bin/ninja" -S . -B "$work" -DVISTA_PYTHON=OFF -DVISTA_FUZZ=ON \
  -DVISTA_WERROR=ON -DCMAKE_UNITY_BUILD=ON -DCMAKE_CXX_COMPILER=clang++ >/dev/null
"$bin/ninja" -C "$work"

# run NAME SECONDS COMMAND...: libFuzzer's flags are the same for both languages.
run() {
  local name=$1 seconds=$2
  shift 2
  local inputs=("$work/corpus/$name")
  mkdir -p "${inputs[0]}"
  [ ! -d "$root/tests/fuzz/corpus/$name" ] || inputs+=("$root/tests/fuzz/corpus/$name")
  "$@" "${inputs[@]}" -artifact_prefix="$work/" -max_total_time="$seconds" \
    -timeout=10 -rss_limit_mb=3000 -print_final_stats=1 -verbosity=0
}

run decode "$seconds" "$work/tests/fuzz/fuzz_decode" -max_len=8192
run arguments "$seconds" "$work/tests/fuzz/fuzz_arguments" -max_len=512
if "$bin/python" -c 'import atheris' 2>/dev/null; then
  cd tests # ./vista_fast would hide the installed package
  # What atheris instruments keeps some kilobytes of every run (by itself it keeps none): each minute has a new process.
  for ((left = seconds; left > 0; left -= 60)); do
    run protocol $((left < 60 ? left : 60)) "$bin/python" fuzz/fuzz_protocol.py -max_len=4096
  done
else
  echo "The protocol is left out: atheris has no build for this Python ($("$bin/python" --version))"
fi
