#!/usr/bin/env python3
"""The same twelve counters by the backend `counters`, through the service, and by ncu, of one program.

    bench/run gpu-counters [--repeats N] [--rounds N] [-- worker flags]

wall_ratio    wall time of our pass (submitted to done) over that of ncu; medians of the rounds, alternating
max_rel_diff  largest relative difference of the values that can be compared. Not compared, and marked:
              (runs differ)   two runs of one tool already differ by more than 1 %
              (moves little)  bytes of a kernel that moves next to none: the driver's own around it
              (cache)         time and device memory traffic of a kernel whose data fits into the L2 cache:
                              they depend on what ran before, and ncu runs each launch by itself
ncu prints two decimals; half of the last is no difference."""

import argparse
import csv
import io
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "gpu"))
import common  # noqa: E402
from service import Service, by_kernel, short  # noqa: E402

TWELVE = [
    "sm__cycles_elapsed.max", "sm__cycles_active.avg", "smsp__inst_executed.sum",
    "sm__inst_executed.avg.per_cycle_active", "smsp__warps_active.avg.per_cycle_active", "dram__bytes_read.sum",
    "dram__bytes_write.sum", "gpu__time_duration.sum", "lts__t_bytes.sum", "l1tex__t_bytes.sum",
    "smsp__issue_active.avg.pct_of_peak_sustained_active", "sm__warps_active.avg.pct_of_peak_sustained_active"]
SMALL = 1e6    # bytes that a kernel moves beside its work
L2 = 64e6      # no cache is larger
PRINTED = 0.005
# What does not depend on what the caches held.
STEADY = {"smsp__inst_executed.sum", "l1tex__t_bytes.sum"}


def ncu_values(text):
    """(kernel, metric) → values of its launches, from ncu's raw page."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith('"ID"'))
    rows = list(csv.reader(io.StringIO("\n".join(lines[begin:]))))
    names = rows[0]
    values = {}
    for row in rows[2:]:
        kernel = short(row[names.index("Kernel Name")])
        for metric in TWELVE:
            values.setdefault((kernel, metric), []).append(float(row[names.index(metric)].replace(",", "")))
    return values


def merged(metric, values):
    if metric.endswith(".sum"):
        return sum(values)
    return max(values) if metric.endswith(".max") else statistics.mean(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("worker", nargs="*", help="flags of the worker, after --")
    options = parser.parse_args()
    ncu = shutil.which("ncu") or "/usr/local/cuda/bin/ncu"
    ours, walls, theirs, ncu_walls = [], [], {}, []
    with tempfile.TemporaryDirectory() as folder, Service(*options.worker) as service:
        os.chmod(folder, 0o755)
        service.wait_proved()
        target = pathlib.Path(folder) / "truth_counters"
        common.compile_cuda("tests/programs/gpu/truth_counters.cu", target)
        for _ in range(options.rounds):
            result, took = service.run_pass("counters:metrics=" + "+".join(TWELVE), [target, str(options.repeats)])
            ours.append(by_kernel(result))
            walls.append(took)
            began = time.monotonic()
            done = subprocess.run([ncu, "--cache-control", "none", "--clock-control", "none", "--csv", "--page", "raw",
                                   "--metrics", ",".join(TWELVE), str(target), str(options.repeats)],
                                  capture_output=True, text=True, check=True)
            ncu_walls.append(time.monotonic() - began)
            for key, values in ncu_values(done.stdout).items():
                theirs.setdefault(key, []).append(merged(key[1], values))
    for note in result.get("notes", []):
        print(f"note: {note}")
    worst, left_out = 0.0, 0
    print(f"{'kernel':<18} {'metric':<54} {'ours':>16} {'ncu':>16} {'differ':>9} {'spread':>9}")
    for kernel, metric in sorted(theirs):
        def median(of):
            return statistics.median(one[kernel, of] for one in ours) / options.repeats
        cached = median("l1tex__t_bytes.sum") > SMALL and median("dram__bytes_read.sum") < L2
        mine, other = [one[kernel, metric] for one in ours], theirs[kernel, metric]
        a, b = statistics.median(mine), statistics.median(other)
        scale = max(abs(a), abs(b)) or 1
        spread = max((max(v) - min(v)) / scale for v in (mine, other))
        differ = max(0.0, abs(a - b) - PRINTED) / scale
        mark = ""
        if "bytes" in metric and scale / options.repeats < SMALL:
            mark = "(moves little)"
        elif cached and metric not in STEADY:
            mark = "(cache)"
        elif spread > 0.01:
            mark = "(runs differ)"
        left_out += bool(mark)
        worst = worst if mark else max(worst, differ)
        print(f"{kernel:<18} {metric:<54} {a:>16.6g} {b:>16.6g} {differ * 100:8.3f}% {spread * 100:8.3f}% {mark}")
    ratio = statistics.median(walls) / statistics.median(ncu_walls)
    print(f"wall: ours {[round(w, 2) for w in walls]} s, ncu {[round(w, 2) for w in ncu_walls]} s; "
          f"{len(theirs) - left_out} of {len(theirs)} values compared")
    common.finish("gpu-counters", {"max_rel_diff": worst, "wall_ratio": ratio, "compared": len(theirs) - left_out,
                                   "left_out": left_out})


main()
