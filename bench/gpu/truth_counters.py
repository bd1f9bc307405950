"""Instruction and byte counts of kernels whose work is known: what gpu-truth says of counters."""

import json
import os
import pathlib
import re
import subprocess
import tempfile

import common
from service import Service, by_kernel, short

SPILLS = {"STL": "smsp__sass_inst_executed_op_local_st.sum", "LDL": "smsp__sass_inst_executed_op_local_ld.sum"}
SPILL_WARPS = 264 * 32


def spills_in(program):
    """How many of each the code of `spilled` holds; each runs once in every warp."""
    tool = pathlib.Path(common.nvcc()).parent / "cuobjdump"
    text = subprocess.run([tool, "-sass", program], capture_output=True, text=True, check=True).stdout
    part = next(p for p in text.split("Function : ") if p.split("\n")[0].startswith("_Z7spilled"))
    return {name: len(re.findall(rf"\b{name}\b", part)) for name in SPILLS}


def figures(*worker_arguments):
    """instr_max_rel_err and bytes_max_rel_err, after a table of every count."""
    worst = {"instr": 0.0, "bytes": 0.0}
    with tempfile.TemporaryDirectory() as folder, Service(*worker_arguments) as service:
        os.chmod(folder, 0o755)
        target = pathlib.Path(folder) / "truth_counters"
        common.compile_cuda("tests/programs/gpu/truth_counters.cu", target)
        known = [json.loads(line) for line in common.run([target]).splitlines() if line.startswith("{")]
        known += [{"kernel": "spilled", "metric": SPILLS[name], "expected": count * SPILL_WARPS, "tolerance": 0}
                  for name, count in spills_in(target).items()]
        metrics = sorted({one["metric"] for one in known} | {"smsp__inst_executed.sum"})
        counted = by_kernel(service.run_pass("counters:metrics=" + "+".join(metrics), [target])[0])
        # What SASS Metrics count instruction by instruction adds up to what the hardware counts.
        patched = by_kernel(service.run_pass("sassmetrics", [target])[0])
    for (kernel, metric), value in sorted(counted.items()):
        if metric == "smsp__inst_executed.sum" and short(kernel) in {one["kernel"] for one in known}:
            known.append({"kernel": kernel, "metric": metric, "expected": patched[kernel, "instructions"],
                          "tolerance": 0})
    for one in known:
        value, expected = counted[one["kernel"], one["metric"]], one["expected"]
        error = abs(value - expected) / expected if expected else abs(value)
        kind = "bytes" if re.search("bytes|sectors", one["metric"]) else "instr"
        if error > one["tolerance"]:
            print(f"beyond its tolerance of {one['tolerance']}:")
        worst[kind] = max(worst[kind], error)
        print(f"{one['kernel']:<18} {one['metric']:<58} {value:>16,.0f}, true {expected:>16,.0f}   {error * 100:6.3f} %")
    return {"instr_max_rel_err": worst["instr"], "bytes_max_rel_err": worst["bytes"]}
