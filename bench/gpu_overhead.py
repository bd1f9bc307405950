#!/usr/bin/env python3
"""What looking costs: `activity` and Proton's host side on one program that launches much, `scopes` and
Proton inside kernels on the same work (gpu/same_work.*) and on two matrix products of the same size, each
against the same without a tool.

    bench/run gpu-overhead [--size N] [--rounds N] [--no-host] [--no-matmul]

activity_pct      host_loop.py with the injection library's activity records over without: time a launch
proton_host_pct   the same program under Proton's cupti backend
scopes_pct, proton_intra_pct  a scope around every 128 multiply-adds, 8 warps on each SM: over without
scopes_mean_pct, proton_intra_mean_pct  mean over all numbers of warps and multiply-adds
scopes_gemm_pct   gemm_ws recorded over compiled without any of it: median time of a launch
scopes_matched_pct  the same with as many records of a warp as Proton makes in the kernel below
proton_matmul_pct  a Triton matmul of the same tile recorded by Proton over compiled without
record_cycles     cycles a record takes in a loop of nothing but records
Runs of the variants alternate; a figure is the median of their ratios less 1. Null: not measured."""

import argparse
import pathlib
import re
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "gpu"))
import common  # noqa: E402

GPU = common.ROOT / "bench/gpu"
# Four records of each multiplying warp a step, as Proton makes; the producer's signal is a fifth, of one warp.
MATCHED = "scopes=mma+full"


def gemm_ms(program, size, env):
    text = common.run([program, size, size, size, 20], env)
    return float(re.search(r"median ([0-9.]+) ms", text).group(1))


def percent(with_tool, without):
    return (statistics.median(a / b for a, b in zip(with_tool, without)) - 1) * 100


def inside(work, size, rounds, figures):
    plain, scoped = work / "gemm_plain", work / "gemm"
    common.compile_cuda("examples/gemm_ws/gemm_ws.cu", plain, "-DSEXTANT_DISABLE")
    common.compile_cuda("examples/gemm_ws/gemm_ws.cu", scoped)
    times = {"plain": [], "inert": [], "scopes": [], "matched": []}
    results = work / "gemm_results"
    for _ in range(rounds):
        results.mkdir(exist_ok=True)
        recording = {"SEXTANT_SCOPES": "1", "SEXTANT_RESULTS": str(results)}
        times["plain"].append(gemm_ms(plain, size, {}))
        times["inert"].append(gemm_ms(scoped, size, {}))
        times["scopes"].append(gemm_ms(scoped, size, recording))
        times["matched"].append(gemm_ms(scoped, size, {**recording, "SEXTANT_SCOPES": MATCHED}))
        for file in results.iterdir():
            file.unlink()
    # How much one launch records, from a run of one.
    common.run([scoped, size, size, size, 1], {**recording, "SEXTANT_SCOPES": "records=32768,arena_mb=1024"})
    held = common.regions(list(results.iterdir()))
    records = 2 * held["events"] + held["signals"]
    ms = statistics.median(times["scopes"])
    figures["scopes_gemm_pct"] = percent(times["scopes"], times["plain"])
    figures["scopes_matched_pct"] = percent(times["matched"], times["plain"])
    figures["scopes_inert_pct"] = percent(times["inert"], times["plain"])
    figures["scopes_records_per_us"] = records / ms / 1e3
    for name, values in times.items():
        print(f"gemm_ws {size}³, {name:<8} {statistics.median(values):9.4f} ms   {min(values):9.4f} … {max(values):.4f}")
    print(f"  {records:,} records a launch, {records / ms / 1e3:,.0f} a µs, {held['dropped']:,} lost")


def proton_inside(size, rounds, figures):
    times = {"plain": [], "proton": []}
    for _ in range(rounds):
        argv = [sys.executable, GPU / "proton_matmul.py", "--size", size]
        plain = common.last_json(common.run(argv))
        times["plain"].append(plain["ms"])
        recorded = common.last_json(common.run([*argv, "--proton"]))
        times["proton"].append(recorded["ms"])
    ms = statistics.median(times["proton"])
    figures["proton_matmul_pct"] = percent(times["proton"], times["plain"])
    figures["proton_records_per_us"] = recorded["records"] / ms / 1e3
    scopes = common.last_json(common.run([sys.executable, GPU / "proton_matmul.py", "--size", 1024, "--proton",
                                          "--count"]))["scopes"]
    print(f"registers, spills: plain {plain['registers']}, {plain['spills']}; recorded {recorded['registers']}, "
          f"{recorded['spills']}; at 1024³ Proton's trace has {scopes:,} scopes")
    for name, values in times.items():
        print(f"triton {size}³, {name:<9} {statistics.median(values):9.4f} ms   {min(values):9.4f} … {max(values):.4f}")
    print(f"  {recorded['records']:,} records a launch, {recorded['records'] / ms / 1e3:,.0f} a µs")


MEASURED = (8, 128)  # warps and multiply-adds of the figures; about as many records a warp as gemm_ws makes


def same_work(work, rounds, figures):
    program = work / "same_work"
    common.compile_cuda("bench/gpu/same_work.cu", program)
    results = work / "same_work_results"
    ours, theirs = {}, {}
    for _ in range(rounds):
        results.mkdir(exist_ok=True)
        recorded = common.last_json(common.run([program], {"SEXTANT_SCOPES": "arena_mb=2048", "SEXTANT_RESULTS": str(results)}))
        for run in recorded["runs"]:
            one = ours.setdefault((run["warps"], run["chain"]), {"plain": [], "with": [], "records": run["records"]})
            one["plain"].append(run["plain_ms"])
            one["with"].append(run["scoped_ms"])
        for file in results.iterdir():
            file.unlink()
        for name, flags in (("plain", []), ("with", ["--proton"])):
            text = common.run([sys.executable, GPU / "same_work.py", *flags])
            for run in common.last_json(text)["runs"]:
                one = theirs.setdefault((run["warps"], run["chain"]), {"plain": [], "with": []})
                one[name].append(run["ms"])
    for key, one in ours.items():
        other = theirs[key]
        one["pct"], other["pct"] = percent(one["with"], one["plain"]), percent(other["with"], other["plain"])
        ms = statistics.median(one["with"])
        print(f"{key[0]:>2} warps, {key[1]:>3} FMAs a scope: ours {statistics.median(one['plain']):.4f} ms {one['pct']:+7.2f} %"
              f"   Proton {statistics.median(other['plain']):.4f} ms {other['pct']:+7.2f} %   {one['records'] / ms / 1e3:,.0f} records a µs")
    figures["scopes_pct"], figures["proton_intra_pct"] = ours[MEASURED]["pct"], theirs[MEASURED]["pct"]
    figures["scopes_mean_pct"] = statistics.mean(one["pct"] for one in ours.values())
    figures["proton_intra_mean_pct"] = statistics.mean(one["pct"] for one in theirs.values())


def host(work, rounds, figures):
    library = common.built("libsextant_inject.so", "workers/inject", "lib", "bin")
    times = {"plain": [], "activity": [], "proton": []}
    for _ in range(rounds):
        argv = [sys.executable, GPU / "host_loop.py"]
        times["plain"].append(common.last_json(common.run(argv))["launch_us"])
        if library is not None:
            env = {"CUDA_INJECTION64_PATH": str(library), "SEXTANT_INJECT": "activity",
                   "SEXTANT_RESULTS": str(work), "SEXTANT_INJECT_OPTIONS": "activity.light=1"}
            times["activity"].append(common.last_json(common.run(argv, env))["launch_us"])
        times["proton"].append(common.last_json(common.run([*argv, "--proton"]))["launch_us"])
    figures["activity_pct"] = percent(times["activity"], times["plain"]) if times["activity"] else None
    figures["proton_host_pct"] = percent(times["proton"], times["plain"])
    for name, values in times.items():
        if values:
            print(f"launches, {name:<12} {statistics.median(values):9.3f} µs   {min(values):9.3f} … {max(values):.3f}")
    if library is None:
        print(f"no libsextant_inject.so beneath {common.BUILD}: activity was not measured", file=sys.stderr)


def record(work, figures):
    program = work / "record_cost"
    common.compile_cuda("bench/gpu/record_cost.cu", program)
    recording = common.last_json(common.run([program], {"SEXTANT_SCOPES": "1", "SEXTANT_RESULTS": str(work)}))
    inert = common.last_json(common.run([program]))
    figures["record_cycles"] = recording["alone"]
    figures["record_cycles_in_loop"] = recording["in_loop"]
    for name, cost in (("recording", recording), ("not recording", inert)):
        print(f"a record, {name:<14} alone {cost['alone']:6.2f}   in a loop of FMAs, 1 warp {cost['in_loop']:6.2f}"
              f"   8 warps {cost['warps8']:6.2f}   16 warps {cost['warps16']:6.2f} cycles")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-host", action="store_true", help="not the host side")
    parser.add_argument("--no-matmul", action="store_true", help="not the matrix products")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        record(work, figures)
        for measure in (lambda: same_work(work, options.rounds, figures),
                        lambda: None if options.no_matmul else inside(work, options.size, options.rounds, figures),
                        lambda: None if options.no_matmul else proton_inside(options.size, options.rounds, figures),
                        lambda: None if options.no_host else host(work, options.rounds, figures)):
            try:
                measure()
            except (SystemExit, common.subprocess.TimeoutExpired) as missing:  # no Triton here, say
                print(f"not measured: {missing}", file=sys.stderr)
    for name in ("activity_pct", "proton_host_pct", "scopes_pct", "proton_intra_pct", "record_cycles"):
        figures.setdefault(name, None)
    common.finish("gpu-overhead", figures)


main()
