#!/usr/bin/env bash
# Installs what Sextant needs from the distribution's packages, on Debian 12, Debian 13 and Ubuntu
# 24.04. Does nothing when everything is there.
#   deploy/packages.sh run|build|bundle|test…   which needs; each includes those before it
#   deploy/packages.sh web                      what the web page is built with, where npm is not there
set -euo pipefail

run=(postgresql bubblewrap ca-certificates)
build=("${run[@]}" g++ cmake ninja-build ccache mold pkg-config protobuf-compiler
  protobuf-compiler-grpc libgrpc++-dev libprotobuf-dev libprotoc-dev libabsl-dev libpqxx-dev
  libspdlog-dev libcli11-dev nlohmann-json3-dev libboost-dev prometheus-cpp-dev
  libseccomp-dev libzstd-dev zlib1g-dev libssl-dev catch2)
bundle=("${build[@]}" patchelf binutils gzip)
test=("${bundle[@]}" clang libclang-rt-dev clang-format python3 python3-pip python3-venv zstd openssl busybox-static)
# libFuzzer's runtime has a package of its own on some releases.

wanted=()
# Node.js may have come from elsewhere, with its own npm.
web() { command -v npm >/dev/null || wanted+=(nodejs npm); }
# Ubuntu's package is a stub for a snap: there the page is tested with a browser that is already there.
browser() {
  command -v chromium >/dev/null || grep -q '^ID=ubuntu' /etc/os-release || wanted+=(chromium)
}
for need in "${@:-build}"; do
  case "$need" in
    run) wanted+=("${run[@]}") ;;
    build) wanted+=("${build[@]}") ;;
    bundle) wanted+=("${bundle[@]}") ;;
    test) wanted+=("${test[@]}"); web; browser ;;
    web) web ;;
    *) echo "packages.sh: unknown need '$need'; there are run, build, bundle, test, web" >&2; exit 2 ;;
  esac
done

if ! command -v apt-get >/dev/null; then
  echo "packages.sh: this system has no apt-get; install the counterparts of: ${wanted[*]}" >&2
  exit 1
fi
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "packages.sh: run as root, or install sudo; missing: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "installing packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
# Sextant runs a private cluster: the distribution's own, and its service, are not wanted.
if ! dpkg-query -W -f='${Status}' postgresql-common 2>/dev/null | grep -q 'ok installed'; then
  "${as_root[@]}" mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
