#!/usr/bin/env python3
"""Whether counters are what they are known to be: tests/programs/gpu/truth_counters, through the service.

    bench/run gpu-truth-counters [-- worker flags]

instr_max_rel_err  instructions: FFMA, shared reads, spills (counted in the disassembly), bank conflicts, and
                   SASS Metrics against the hardware's own count
bytes_max_rel_err  bytes and sectors of a copy larger than the caches, in L1, L2 and device memory"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "gpu"))
import common  # noqa: E402
import truth_counters  # noqa: E402

common.finish("gpu-truth-counters", truth_counters.figures(*[a for a in sys.argv[1:] if a != "--"]))
