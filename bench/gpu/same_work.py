"""What Proton's scopes add to the kernel of same_work.cu, written in Triton: the same chains of dependent
multiply-adds, warps and CTAs, one scope around every chain.

    python3 same_work.py [--proton]

Prints {"runs":[{"chain":…,"warps":…,"ms":…,"records":…},…]}: the median time of the kernel alone, without
Proton's copies; without --proton it is compiled without scopes."""

import argparse
import json
import os
import statistics
import tempfile

import torch
import triton
import triton.language as tl
import triton.profiler as proton
import triton.profiler.language as pl
from triton.profiler.hooks import instrumentation

pl.enable_semantic("triton")
FMAS, LAUNCHES = 1 << 16, 15


class NoReader:
    """Proton's library without its own reading of every buffer, which takes seconds and is not the kernel."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)

    def enter_instrumented_op(self, *_):
        pass

    def exit_instrumented_op(self, *_):
        pass


@triton.jit
def work(values, turns, CHAIN: tl.constexpr, SIZE: tl.constexpr, SCOPES: tl.constexpr):
    at = values + tl.arange(0, SIZE)
    value = tl.load(at)
    for _ in range(turns):
        if SCOPES:
            pl.enter_scope("work")
        for _ in tl.static_range(CHAIN):
            value = value * 1.0001 + 1.0
        if SCOPES:
            pl.exit_scope("work")
    tl.store(at, value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proton", action="store_true")
    options = parser.parse_args()
    values = torch.zeros(1024, device="cuda", dtype=torch.float32)
    sms = torch.cuda.get_device_properties(0).multi_processor_count
    if options.proton:
        instrumentation.libproton = NoReader(instrumentation.libproton)
        # As many records of a warp as ours keeps by default, in the same kind of memory.
        proton.start(tempfile.mktemp(), backend="instrumentation", data="trace",
                     mode=proton.mode.Default(buffer_type="global", buffer_size=16 * 8192))
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    triton.knobs.runtime.launch_enter_hook.add(lambda _: begin.record())
    triton.knobs.runtime.launch_exit_hook.add(lambda _: end.record())
    runs = []
    for warps in (8, 16):
        for chain in (32, 128):
            times = []
            for _ in range(LAUNCHES + 1):
                kernel = work[(sms,)](values, FMAS // chain, CHAIN=chain, SIZE=32 * warps, SCOPES=options.proton,
                                      num_warps=warps)
                torch.cuda.synchronize()
                times.append(begin.elapsed_time(end))
            runs.append({"chain": chain, "warps": warps, "ms": statistics.median(times[1:]),
                         "registers": kernel.n_regs,
                         "records": 2 * sms * warps * (FMAS // chain) if options.proton else 0})
    print(json.dumps({"runs": runs}), flush=True)
    os._exit(0)  # what was recorded is not wanted


main()
