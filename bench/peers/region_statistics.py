"""See region_statistics.sh."""
import os
import sys
import time

import duckdb
import pandas

parquet = os.path.join(sys.argv[1], "instances.parquet")
duckdb.execute(
    "COPY (SELECT * FROM read_csv('/dev/stdin', header = false, auto_detect = false, delim = ',', "
    "columns = {'pass': 'SMALLINT', 'role': 'TINYINT', 'region': 'SMALLINT', 'duration': 'BIGINT'})) "
    f"TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")

begin = time.monotonic()
frame = pandas.read_parquet(parquet, columns=["role", "region", "duration"])
groups = frame.groupby(["role", "region"])["duration"]
by_pandas = groups.agg(["count", "sum"]).join(groups.quantile([.2, .5, .8]).unstack())
pandas_s = time.monotonic() - begin

begin = time.monotonic()
by_duckdb = duckdb.execute(
    "SELECT role, region, count(*), sum(duration), quantile_cont(duration, [0.2, 0.5, 0.8]) "
    f"FROM '{parquet}' GROUP BY ALL").fetchall()
duckdb_s = time.monotonic() - begin

if len(by_pandas) != len(by_duckdb):
    sys.exit(f"pandas found {len(by_pandas)} regions, DuckDB {len(by_duckdb)}")
print(pandas_s, duckdb_s)
print(f"{len(frame)} instances, {os.path.getsize(parquet)} bytes of Parquet", file=sys.stderr)
