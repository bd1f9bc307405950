"""A trace as PyTorch's profiler (Kineto) exports it: shaped after its output on an H200 (torch 2.11), made
by rule so that a test knows every number. `python3 kineto.py > trace.json` prints one."""

import json

BASE_NS = 1_780_000_000_000_000_000
STEPS = 3
KERNELS = (  # name, µs, grid, block, registers, shared bytes
    ("nvjet_tst_128x256_64x4_2x1_v_bz_coopB_TNT", 41.216, [132, 1, 1], [384, 1, 1], 168, 214_016),
    ("_ZN2at6native18elementwise_kernelILi128ELi4EEEviPf", 3.328, [1024, 1, 1], [128, 1, 1], 32, 0),
)


def event(name, category, pid, tid, ts, dur, **args):
    return {"ph": "X", "cat": category, "name": name, "pid": pid, "tid": tid, "ts": round(ts, 3), "dur": round(dur, 3),
            "args": args}


def trace(scale=1.0):
    """STEPS training steps on one stream; `scale` stretches the kernels."""
    events = [
        {"name": "process_name", "ph": "M", "ts": 1000.0, "pid": 4242, "tid": 0, "args": {"name": "python"}},
        {"name": "process_name", "ph": "M", "ts": 1000.0, "pid": 0, "tid": 0, "args": {"name": "python"}},
        {"name": "process_labels", "ph": "M", "ts": 1000.0, "pid": 0, "tid": 0, "args": {"labels": "GPU 0"}},
        {"name": "thread_name", "ph": "M", "ts": 1000.0, "pid": 4242, "tid": 4242, "args": {"name": "thread 4242 (python)"}},
        {"name": "thread_name", "ph": "M", "ts": 1000.0, "pid": 0, "tid": 7, "args": {"name": "stream 7 "}},
        {"name": "Trace Start", "ph": "i", "s": "g", "ts": 999.5, "pid": "Traces", "tid": "Trace PyTorch Profiler"},
    ]
    correlation = 100
    for step in range(STEPS):
        begin = 1000.0 + 500.0 * step
        events.append(event(f"ProfilerStep#{step}", "user_annotation", 4242, 4242, begin, 480.0))
        events.append(event("aten::linear", "cpu_op", 4242, 4242, begin + 10, 60.0, **{"External id": correlation}))
        events.append(event("Memcpy HtoD (Pinned -> Device)", "gpu_memcpy", 0, 7, begin + 40, 12.5, device=0, context=1,
                            stream=7, correlation=correlation, bytes=1 << 20, **{"memory bandwidth (GB/s)": 83.8}))
        at = begin + 60
        for name, us, grid, block, registers, shared in KERNELS:
            correlation += 1
            events.append(event("cudaLaunchKernel", "cuda_runtime", 4242, 4242, at - 20, 5.125, correlation=correlation, cbid=211))
            events.append(event(name, "kernel", 0, 7, at, us * scale, queued=0, device=0, context=1, stream=7,
                                correlation=correlation, grid=grid, block=block,
                                **{"registers per thread": registers, "shared memory": shared, "blocks per SM": 1.0,
                                   "warps per SM": 12.0, "est. achieved occupancy %": 19}))
            events.append({"ph": "s", "id": correlation, "pid": 4242, "tid": 4242, "ts": round(at - 20, 3), "cat": "ac2g", "name": "ac2g"})
            at += us * scale + 1.5
        correlation += 1
    return {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "NVIDIA H200", "totalGlobalMem": 150_000_000_000,
                                                      "computeMajor": 9, "computeMinor": 0, "numSms": 132}],
            "cuda_runtime_version": 13000, "displayTimeUnit": "ms", "baseTimeNanoseconds": BASE_NS,
            "traceEvents": events, "traceName": "trace.json"}


if __name__ == "__main__":
    print(json.dumps(trace()))
