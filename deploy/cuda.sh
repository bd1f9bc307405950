#!/usr/bin/env bash
# Prints the root of a CUDA toolkit (include/, lib/, bin/ under it), on a machine without a GPU too.
#   deploy/cuda.sh [headers|nvcc]
#     headers   driver API, runtime, CUPTI, NVML and NVTX headers, and CUPTI's library (52 MB)
#     nvcc      those, and the compiler, cuobjdump and nvdisasm (390 MB)
# $CUDA_HOME and /usr/local/cuda are preferred when they are of CUDA 13 or newer. Without one, what is
# asked for is installed from PyPI into .cache/cuda of this tree, once; nothing else is touched.
set -euo pipefail
tree=$(dirname "$(dirname "$(readlink -f "$0")")")
root=$tree/.cache/cuda
say() { echo "cuda.sh: $*" >&2; }

need=${1:-headers}
packages=('nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-cupti==13.0.*'
  'nvidia-nvml-dev==13.0.*' 'nvidia-nvtx==13.0.*')
case "$need" in
  headers) ;;
  # cuobjdump and nvdisasm have no 13.0; a newer one reads older binaries.
  nvcc) packages+=('nvidia-cuda-nvcc==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-cccl==13.0.*'
    'nvidia-cuda-cuobjdump==13.*' 'nvidia-cuda-nvdisasm==13.*') ;;
  *) say "unknown need '$need'; there are headers, nvcc"; exit 2 ;;
esac

# Whether the toolkit at $1 has what is needed, of a version that the code is written for.
serves() {
  local version
  version=$(sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$1/include/cuda.h" 2>/dev/null) || return 1
  [ -n "$version" ] || return 1
  if [ "$version" -lt 13000 ]; then
    say "$1 is CUDA $((version / 1000)).$((version % 1000 / 10)); at least 13.0 is needed, so it is not used"
    return 1
  fi
  [ -f "$1/include/cupti.h" ] || [ -f "$1/extras/CUPTI/include/cupti.h" ] || return 1
  [ "$need" = headers ] || [ -x "$1/bin/nvcc" ]
}
for candidate in ${CUDA_HOME:+"$CUDA_HOME"} /usr/local/cuda; do
  if serves "$candidate"; then
    echo "$candidate"
    exit 0
  fi
done

mkdir -p "$tree/.cache"
exec 9>"$tree/.cache/cuda.lock"
flock 9
# "nvcc" holds "headers"; the list of packages is part of the mark, so a changed list installs anew.
for mark in "$need" nvcc; do
  if [ -f "$root/.$mark" ] && { [ "$mark" != "$need" ] || [ "$(cat "$root/.$mark")" = "${packages[*]}" ]; }; then
    echo "$root"
    exit 0
  fi
done

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  say "no CUDA here, and it is installed for Linux x86_64 only; set CUDA_HOME"
  exit 1
fi
pip=
for python in python3 /usr/bin/python3; do
  if command -v "$python" >/dev/null && "$python" -m pip --version >/dev/null 2>&1; then
    pip=$python
    break
  fi
done
if [ -z "$pip" ]; then
  say "no CUDA here, and no pip to install it with; set CUDA_HOME, or install python3-pip"
  exit 1
fi
fresh=$(mktemp -d "$tree/.cache/cuda-XXXXXX")
trap 'rm -rf "$fresh"' EXIT
say "installing CUDA's $need into $root"
if ! "$pip" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --no-deps \
  --only-binary :all: --target "$fresh/wheels" "${packages[@]}" >"$fresh/log" 2>&1; then
  cat "$fresh/log" >&2
  say "the packages could not be installed; set CUDA_HOME to a toolkit of CUDA 13"
  exit 1
fi
# Every package unpacks into nvidia/cu13, which is laid out as a toolkit's root.
mkdir "$fresh/root"
cp -al "$fresh/wheels/nvidia/cu13/." "$fresh/root/"
for info in "$fresh/wheels/"*.dist-info; do
  mkdir -p "$fresh/root/licenses/$(basename "$info" .dist-info)"
  cp -a "$info/licenses/." "$fresh/root/licenses/$(basename "$info" .dist-info)/" 2>/dev/null || true
done
ln -s lib "$fresh/root/lib64"
for library in "$fresh/root/lib/"*.so.*; do
  link=${library%%.so.*}.so
  [ -e "$link" ] || ln -s "$(basename "$library")" "$link"
done
echo "${packages[*]}" >"$fresh/root/.$need"
rm -rf "$root"
mv "$fresh/root" "$root"
echo "$root"
