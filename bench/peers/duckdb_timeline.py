"""See duckdb_timeline.sh."""
import os
import sys
import time

import duckdb

directory, buckets, quantiles = sys.argv[1], int(sys.argv[2]), sys.argv[3]
parquet = os.path.join(directory, "events.parquet")
db = duckdb.connect(config={"temp_directory": os.path.join(directory, "duckdb")})
db.execute(
    "COPY (SELECT * FROM read_csv('/dev/stdin', header = false, auto_detect = false, delim = ',', "
    "columns = {'region': 'SMALLINT', 'start': 'BIGINT', 'duration': 'BIGINT'})) "
    f"TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")
begin = time.monotonic()
rows = db.execute(
    f"SELECT region, start // (1 + (SELECT max(start) FROM '{parquet}') // {buckets}) AS bucket, "
    f"count(*), quantile_disc(duration, [{quantiles}]) FROM '{parquet}' GROUP BY ALL").fetchall()
print(time.monotonic() - begin)
print(f"{len(rows)} groups, {os.path.getsize(parquet)} bytes of Parquet", file=sys.stderr)
