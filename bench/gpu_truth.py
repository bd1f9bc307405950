#!/usr/bin/env python3
"""Whether regions take as long as they are known to: examples/truth_spins, recorded by scope.cuh.

    bench/run gpu-truth [--ctas N] [--launches N]

region_max_rel_err  the largest relative error of any region's P20, P50, P80, in several ways of recording"""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "gpu"))
import common  # noqa: E402


def check(name, truth, held, warps, errors):
    for region, want in truth["regions"].items():
        have = held["regions"].get(region)
        if have is None or have["count"] != want["count"] * warps:
            raise SystemExit(f"{name}: {region}: {have and have['count']} instances, {want['count'] * warps} were made")
        for quantile in ("p20", "p50", "p80"):
            error = abs(have[quantile] / want[quantile] - 1)
            errors.append(error)
            print(f"{name:<28} {region:<8} {quantile.upper()} {have[quantile]:>9,} cycles, true {want[quantile]:>9,}   "
                  f"{error * 100:6.3f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ctas", type=int, default=64)
    parser.add_argument("--launches", type=int, default=5)
    options = parser.parse_args()
    errors = []
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        common.compile_cuda("examples/truth_spins/truth_spins.cu", work / "global")
        common.compile_cuda("examples/truth_spins/truth_spins.cu", work / "shared", "-DSEXTANT_SHARED_RECORDS=64")
        for name, program, recording in (("global", "global", "1"), ("shared", "shared", "buffer=shared"),
                                         ("host memory", "global", "memory=host")):
            results = work / f"results of {name}"
            results.mkdir()
            text = common.run([work / program, options.ctas, options.launches],
                              {"SEXTANT_SCOPES": recording, "SEXTANT_RESULTS": str(results)})
            held = common.regions(list(results.iterdir()))
            check(name, common.last_json(text), held, options.ctas * options.launches * 4, errors)
    common.finish("gpu-truth", {"region_max_rel_err": max(errors)})


main()
