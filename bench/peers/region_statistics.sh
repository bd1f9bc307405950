#!/usr/bin/env bash
# Reads "pass,role,region,duration" lines, keeps them as a Parquet file in DIR, and prints the seconds in which
# pandas, and then DuckDB, answer count, sum and quantiles by role and region: region_statistics.sh DIR
# Installs both from PyPI into .cache once.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
site=$here/../../.cache/frames
[ -d "$site/pandas" ] || python3 -m pip install --quiet --target "$site" 'duckdb>=1.0' 'pandas>=2' 'pyarrow>=14' >&2
PYTHONPATH=$site exec python3 "$here/region_statistics.py" "$@"
