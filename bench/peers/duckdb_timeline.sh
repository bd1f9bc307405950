#!/usr/bin/env bash
# Reads "region,start,duration" lines, keeps them as a Parquet file in DIR, and prints the seconds in
# which DuckDB answers the quantiles by region and bucket: duckdb_timeline.sh DIR BUCKETS QUANTILES
# Installs DuckDB from PyPI into .cache once.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
site=$here/../../.cache/duckdb
[ -d "$site/duckdb" ] || python3 -m pip install --quiet --target "$site" 'duckdb>=1.0' >&2
PYTHONPATH=$site exec python3 "$here/duckdb_timeline.py" "$@"
