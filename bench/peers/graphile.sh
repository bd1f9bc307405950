#!/usr/bin/env bash
# Graphile Worker's submit → start on the given PostgreSQL: graphile.sh CONNINFO JOBS
# Installs it from npm into .cache once. Prints {"p50_ms":…}.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
dir=$here/../../.cache/graphile
if [ ! -d "$dir/node_modules/graphile-worker" ]; then
  mkdir -p "$dir"
  (cd "$dir" && npm init -y >/dev/null && npm install --silent graphile-worker@0.16 pg@8 >&2)
fi
cp "$here/graphile.mjs" "$dir/graphile.mjs"
cd "$dir"
exec node graphile.mjs "$1" "$2"
