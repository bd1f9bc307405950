"""Launches a small Triton kernel many times, and prints how long one took: {"launch_us":…}.

    python3 host_loop.py [--launches N] [--proton]

`--proton`: under Proton's host-side profiler (backend cupti). Other tools are put around the program."""

import argparse
import json
import statistics
import tempfile
import time

import torch
import triton
import triton.language as tl


@triton.jit
def add(x, y, out, COUNT: tl.constexpr):
    at = tl.program_id(0) * COUNT + tl.arange(0, COUNT)
    tl.store(out + at, tl.load(x + at) + tl.load(y + at))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launches", type=int, default=4000)
    parser.add_argument("--proton", action="store_true")
    options = parser.parse_args()
    x = torch.ones(1 << 20, device="cuda")
    out = torch.empty_like(x)
    add[(1024,)](x, x, out, COUNT=1024)
    torch.cuda.synchronize()
    if options.proton:
        import triton.profiler as proton
        session = proton.start(tempfile.mktemp(), backend="cupti")
    times = []
    for _ in range(5):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(options.launches):
            add[(1024,)](x, x, out, COUNT=1024)
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) / options.launches * 1e6)
    if options.proton:
        proton.finalize(session)
    print(json.dumps({"launch_us": statistics.median(times)}))


main()
