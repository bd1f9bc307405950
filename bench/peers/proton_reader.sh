#!/usr/bin/env bash
# Times Proton's own reader on a raw buffer: proton_reader.sh FILE shift|plain ANSWER
# Triton's wheel is installed from PyPI into .cache/triton of this tree, once.
set -euo pipefail
tree=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
packages=$tree/.cache/triton
if [ ! -f "$packages/triton/_C/libproton.so" ]; then
  python3 -m venv "$packages.venv" # for its pip: the system's may be missing or locked
  "$packages.venv/bin/python3" -m pip install --quiet --no-deps --target "$packages" triton==3.6.0 >&2
fi
PYTHONPATH=$packages exec python3 "$tree/bench/peers/proton_reader.py" "$1" "$2" >"$3" 2>"$3.log"
