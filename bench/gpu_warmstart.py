#!/usr/bin/env python3
"""What a warm start is worth: a job of many passes of a Triton program, through the service, against a shell
loop that starts the same passes one after another by themselves.

    bench/run gpu-warmstart [--passes N] [--rounds N] [--pass P] [--worker-arg A]… [--cpu] [-- PROGRAM…]

ratio         wall time of the job, submitted to done, over that of the loop
start_speedup wall time of a pass started cold by the service over that of a forked one (medians)
Programs are found in $SEXTANT_BIN (a bundle's bin), else in the build. --cpu takes a program without a GPU
that imports much of Python's library: it shows the mechanism where there is no GPU."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "gpu"))
from service import Service  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAUNCHER = ROOT / "workers/backends/proton/proton_launch.py"
MODULES = ["asyncio", "concurrent.futures", "ctypes", "decimal", "email.message", "http.client", "sqlite3", "ssl",
           "unittest", "urllib.request", "xml.dom.minidom", "multiprocessing", "logging.config", "zipfile"]
INTRA = {"where": "intra", "kernels": "", "launches": 64, "keep_bytes": 256 << 20, "raw": True, "chrome": False,
         "mode": {"granularity": "warp", "buffer_type": "shared", "buffer_size": 0, "buffer_strategy": "circular",
                  "sampling_strategy": "none", "sampling_options": "", "optimizations": ""}}


class WarmService(Service):
    def job(self, pass_text, argv, cwd, files, *options):
        """Wall time of a job, and the wall times of its passes' programs."""
        began = time.monotonic()
        self.cli_in(cwd, "run", "--fresh", "--no-timeline", "--no-clean", *options,
                    *(part for file in files for part in ("--file", file)), "--pass", pass_text, "--", *argv)
        wall = time.monotonic() - began
        job = json.loads(self.cli("--format", "json", "jobs", "--limit", "1").splitlines()[0])["job_id"]
        passes = json.loads(self.cli("--format", "json", "job", str(job), "--passes"))["passes"]
        starts = {p["result"]["provenance"].get("extra", {}).get("start", "cold") for p in passes}
        return wall, [p["result"]["exit"]["wall_s"] for p in passes], starts


def loop(argv, count, cwd, launched):
    """The same passes by a shell loop; each with a cache and a results directory of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = dict(os.environ, HOME=scratch, TRITON_CACHE_DIR=f"{scratch}/cache", SCRATCH=scratch)
        if launched:
            environment["SEXTANT_PROTON"] = json.dumps(dict(INTRA, directory=f"{scratch}/results"))
            argv = [argv[0], "-c", LAUNCHER.read_text(encoding="utf-8"), *argv[1:]]
        script = 'n=$1; shift; for i in $(seq "$n"); do rm -rf "$SCRATCH/cache" "$SCRATCH/results"; "$@" || exit 1; done'
        began = time.monotonic()
        subprocess.run(["sh", "-c", script, "loop", str(count), *argv], env=environment, cwd=cwd, check=True,
                       stdout=subprocess.DEVNULL)
        return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pass", dest="pass_text", default="proton")
    parser.add_argument("--worker-arg", action="append", default=[])
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("argv", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if options.cpu:
            script = pathlib.Path(work) / "imports.py"
            script.write_text("".join(f"import {m}\n" for m in MODULES) + "print(sum(range(1000)))\n", encoding="utf-8")
            argv, cwd, files = ["python3", "imports.py"], work, []
            base = "run:warm=" + "+".join(MODULES)
        else:
            argv = options.argv or ["python3", "matmul.py", "--size", "512"]
            cwd = str(ROOT / "examples/triton_matmul")
            files = ["kernel.py"]
            base = options.pass_text
        with WarmService(*options.worker_arg) as service:
            if not options.cpu:
                service.wait_proved()
            # Both find the machine's caches filled.
            subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
            walls, loops, forked, cold = [], [], [], []
            for _ in range(options.rounds):
                wall, times, starts = service.job(f"{base}*{options.passes}", argv, cwd, files)
                if starts != {"warm"}:
                    raise SystemExit(f"passes were started {starts}, not warm: {service.cli('job', '1', '--passes')}")
                walls.append(wall)
                forked += times
                loops.append(loop(argv, options.passes, cwd, base.startswith("proton")))
                _, times, _ = service.job(f"{base}*3", argv, cwd, files, "--no-warm")
                cold += times
    ratio = statistics.median(w / l for w, l in zip(walls, loops))
    print(f"job of {options.passes} passes, forked     {statistics.median(walls):8.2f} s  "
          f"(a pass {statistics.median(forked):.3f} s)")
    print(f"shell loop of {options.passes} cold starts {statistics.median(loops):8.2f} s  "
          f"(a pass {statistics.median(loops) / options.passes:.3f} s)")
    print(f"a cold pass by the service    {statistics.median(cold):8.3f} s")
    print(f"ratio {ratio:.3f}")
    machine = f"{os.cpu_count()} cores, {os.uname().sysname} {os.uname().release}"
    print(json.dumps({"bench": "gpu-warmstart", "machine": machine, "figures": {
        "ratio": round(ratio, 4), "warm_pass_s": round(statistics.median(forked), 4),
        "cold_pass_s": round(statistics.median(cold), 4),
        "start_speedup": round(statistics.median(cold) / statistics.median(forked), 2)}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
