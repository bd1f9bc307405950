#!/usr/bin/env python3
"""exec:rocprof: AMD's rocprofv3 around a HIP program. Not run on hardware yet.

It is built from the documented formats and from output that others published: `*_kernel_trace.csv`,
`*_memory_copy_trace.csv`, `*_counter_collection.csv` and `*_results.json`, whose columns differ in
case and number between versions. Options: counters=A+B (names of `rocprofv3 --list-avail`).
ROCm is looked for in $ROCM_PATH and /opt/rocm.

Leaves the tables `launches`, `copies` and `counters` (docs/tables.md), a trace (a track for each queue,
a region for each kernel and kind of copy), and counters summed by kernel.
"""

import csv
import json
import os
import re
import sys

ROCM = os.environ.get("ROCM_PATH", "/opt/rocm")
INSIDE = "/sextant/rocm"
RESULTS = os.environ.get("SEXTANT_RESULTS", "/results")   # where to write
MAX_FILES = 1000
MAX_FILE_BYTES = 1 << 30


def answer(**fields):
    json.dump(fields, sys.stdout)


def probe():
    if not os.access(f"{ROCM}/bin/rocprofv3", os.X_OK):
        return answer(available=False, reason=f"rocprofv3 is not in {ROCM}/bin; install rocprofiler-sdk")
    if not os.path.exists("/dev/kfd"):
        return answer(available=False, reason="there is no AMD GPU here (/dev/kfd)")
    version = ""
    for name in (f"{ROCM}/.info/version", f"{ROCM}/share/rocprofiler-sdk/VERSION"):
        if os.path.isfile(name):
            with open(name, errors="replace") as file:
                version = file.read(100).strip()
            break
    answer(available=True, tool_version=version, device_kind="gpu", features=["not-run-on-hardware"])


def prepare():
    told = json.load(sys.stdin)
    for name in told["options"]:
        if name != "counters":
            return answer(error={"message": f'options["{name}"]: exec:rocprof has counters alone'})
    argv = [f"{INSIDE}/bin/rocprofv3", "--kernel-trace", "--memory-copy-trace", "-d", "/results",
            "-o", "rocprof", "--output-format", "csv"]
    counters = [c for c in told["options"].get("counters", "").split("+") if c]
    for counter in counters:
        if not re.fullmatch(r"[A-Za-z0-9_:\[\]]{1,128}", counter):
            return answer(error={"message": f'options["counters"]: "{counter}" is no counter\'s name',
                                 "remedy": "`rocprofv3 --list-avail` lists them"})
    if counters:
        argv += ["--pmc", *counters]
    if told["kernels"]:
        argv += ["--kernel-include-regex", told["kernels"]]
    answer(argv=[*argv, "--", *told["argv"]], mounts=[{"source": ROCM, "target": INSIDE}],
           env={"LD_LIBRARY_PATH": f"{INSIDE}/lib"})


# ---- what was left, in one shape ---------------------------------------------------------------

def number(text):
    """A whole number in `text` ("Agent 4" → 4), or 0."""
    found = re.search(r"-?\d+", str(text))
    return int(found.group()) if found and len(found.group()) < 20 else 0


def rows_of(path):
    """Rows as dicts with lower-case keys; a row that is too short lacks its last ones."""
    with open(path, newline="", errors="replace") as file:
        reader = csv.reader(file)
        header = [name.strip().lower() for name in next(reader, [])]
        for row in reader:
            yield dict(zip(header, row))


def files_left():
    """Regular files below the working directory, links not followed."""
    found = []
    for folder, _, names in os.walk(".", followlinks=False):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.path.isfile(path) and \
                    os.path.getsize(path) <= MAX_FILE_BYTES:
                found.append(path)
            if len(found) > MAX_FILES:
                return found
    return sorted(found)


def dispatch_of_csv(row):
    return {"kernel": row.get("kernel_name", ""), "agent": number(row.get("agent_id", "")),
            "queue": number(row.get("queue_id", "")), "stream": number(row.get("stream_id", "")),
            "process": number(row.get("process_id", "")), "dispatch": number(row.get("dispatch_id", "")),
            "correlation": number(row.get("correlation_id", "")),
            "start": number(row.get("start_timestamp", "")), "end": number(row.get("end_timestamp", "")),
            "block": [number(row.get(f"workgroup_size_{axis}", "")) for axis in "xyz"],
            "items": [number(row.get(f"grid_size_{axis}", "")) for axis in "xyz"],
            "registers": number(row.get("vgpr_count", "")),
            "shared": number(row.get("lds_block_size", row.get("group_segment_size", ""))),
            "local": number(row.get("scratch_size", row.get("private_segment_size", "")))}


def get(json_value, *path):
    """A field deep in JSON that may have any shape."""
    for name in path:
        json_value = json_value.get(name) if isinstance(json_value, dict) else None
    return json_value


def of_json(path, dispatches, copies):
    with open(path, errors="replace") as file:
        try:
            root = json.load(file)
        except (ValueError, RecursionError):
            return
    tools = get(root, "rocprofiler-sdk-tool")
    for tool in tools if isinstance(tools, list) else []:
        symbols, pid = {}, number(get(tool, "metadata", "pid"))
        for symbol in get(tool, "kernel_symbols") or []:
            name = get(symbol, "formatted_kernel_name") or get(symbol, "truncated_kernel_name") or \
                get(symbol, "kernel_name")
            symbols[number(get(symbol, "kernel_id"))] = (str(name or ""), number(get(symbol, "arch_vgpr_count")))
        for record in get(tool, "buffer_records", "kernel_dispatch") or []:
            info = get(record, "dispatch_info")
            kernel, registers = symbols.get(number(get(info, "kernel_id")), ("", 0))
            dispatches.append({
                "kernel": kernel, "registers": registers, "process": pid,
                "agent": number(get(info, "agent_id", "handle")), "queue": number(get(info, "queue_id", "handle")),
                "stream": number(get(record, "stream_id", "handle")), "dispatch": number(get(info, "dispatch_id")),
                "correlation": number(get(record, "correlation_id", "internal")),
                "start": number(get(record, "start_timestamp")), "end": number(get(record, "end_timestamp")),
                "block": [number(get(info, "workgroup_size", axis)) for axis in "xyz"],
                "items": [number(get(info, "grid_size", axis)) for axis in "xyz"],
                "shared": number(get(info, "group_segment_size")), "local": number(get(info, "private_segment_size"))})
        for record in get(tool, "buffer_records", "memory_copy") or []:
            copies.append({"kind": str(get(record, "operation")), "start": number(get(record, "start_timestamp")),
                           "end": number(get(record, "end_timestamp")), "bytes": number(get(record, "bytes")),
                           "correlation": number(get(record, "correlation_id", "internal"))})


def kind_of(direction):
    """MEMORY_COPY_HOST_TO_DEVICE → HtoD."""
    found = re.search(r"(HOST|DEVICE)_TO_(HOST|DEVICE)", direction.upper())
    return f"{found.group(1)[0]}to{found.group(2)[0]}" if found else direction


def read_all():
    dispatches, copies, counted, kept = [], [], [], []
    for path in files_left():
        if path.endswith("_kernel_trace.csv"):
            dispatches += [dispatch_of_csv(row) for row in rows_of(path)
                           if row.get("kind", "KERNEL_DISPATCH") == "KERNEL_DISPATCH"]
        elif path.endswith("_memory_copy_trace.csv"):
            copies += [{"kind": kind_of(row.get("direction", "")), "start": number(row.get("start_timestamp", "")),
                        "end": number(row.get("end_timestamp", "")), "bytes": number(row.get("bytes", "")),
                        "correlation": number(row.get("correlation_id", ""))} for row in rows_of(path)]
        elif path.endswith("_counter_collection.csv"):
            counted += list(rows_of(path))
        elif path.endswith("_results.json"):
            of_json(path, dispatches, copies)
        else:
            continue
        kept.append(path[2:])
    return dispatches, copies, counted, kept


# ---- tables --------------------------------------------------------------------------------------

def table(name, rows, columns):
    """`columns`: (name, unit, "ints" | "numbers" | "texts", value of a row)."""
    return {"name": name, "columns": [{"name": c, "unit": unit, kind: [value(row) for row in rows]}
                                      for c, unit, kind, value in columns]}


def launch_table(dispatches, began):
    def ints(name, unit, value):
        return name, unit, "ints", value
    columns = [ints("launch", "", lambda d: d["launch"]), ints("process", "", lambda d: d["process"]),
               ("kernel", "", "texts", lambda d: d["kernel"]), ints("device", "", lambda d: d["agent"]),
               ints("stream", "", lambda d: d["stream"]), ints("queue", "", lambda d: d["queue"]),
               ints("correlation", "", lambda d: d["correlation"]),
               ints("start_ns", "ns", lambda d: d["start"] - began), ints("end_ns", "ns", lambda d: d["end"] - began),
               ints("duration_ns", "ns", lambda d: d["end"] - d["start"])]
    for i, axis in enumerate("xyz"):
        # AMD's grid is counted in work items.
        columns.append(ints(f"grid_{axis}", "", lambda d, i=i: d["items"][i] // max(1, d["block"][i])))
    for i, axis in enumerate("xyz"):
        columns.append(ints(f"block_{axis}", "", lambda d, i=i: d["block"][i]))
    columns += [ints("registers", "", lambda d: d["registers"]),
                ints("static_shared_bytes", "bytes", lambda d: d["shared"]),
                ints("local_bytes", "bytes", lambda d: d["local"])]
    return table("launches", dispatches, columns)


def counter_rows(counted, launches):
    rows = []
    for row in counted:
        try:
            value = float(row.get("counter_value", ""))
        except ValueError:
            continue
        if value != value or value in (float("inf"), float("-inf")):
            continue
        rows.append({"launch": launches.get(number(row.get("dispatch_id", "")), -1),
                     "kernel": row.get("kernel_name", ""), "metric": row.get("counter_name", ""), "value": value})
    return rows


def collect():
    json.load(sys.stdin)
    dispatches, copies, counted, kept = read_all()
    if not dispatches and not counted:
        return answer(error={"code": "empty", "message": "rocprofv3 recorded no kernel",
                             "remedy": "check that the program reached its kernels (`sextant logs`)"})
    dispatches = [d for d in dispatches if 0 < d["start"] <= d["end"]]
    copies = [c for c in copies if 0 < c["start"] <= c["end"]]
    dispatches.sort(key=lambda d: (d["process"], d["dispatch"], d["start"]))
    for launch, dispatch in enumerate(dispatches):
        dispatch["launch"] = launch
    # The clock is the machine's own, not the pass's: the first thing seen is time 0.
    began = min([d["start"] for d in dispatches] + [c["start"] for c in copies], default=0)
    queues = {}
    with open(f"{RESULTS}/trace.csv", "w", newline="") as file:
        trace = csv.writer(file)
        trace.writerow(["warp", "role", "region", "start", "duration"])
        for d in dispatches:
            key = ("queue", d["agent"], d["queue"])
            trace.writerow([queues.setdefault(key, len(queues)), f"queue {d['queue']}", d["kernel"] or "kernel",
                            d["start"] - began, d["end"] - d["start"]])
        for c in copies:
            trace.writerow([queues.setdefault(("copies",), len(queues)), "copies", c["kind"] or "copy",
                            c["start"] - began, c["end"] - c["start"]])
    rows = counter_rows(counted, {d["dispatch"]: d["launch"] for d in dispatches})
    sums = {}
    for row in rows:
        total = sums.setdefault((row["kernel"], row["metric"]), [0, 0])
        total[0] += row["value"]
        total[1] += 1
    tables = [launch_table(dispatches, began)]
    if copies:
        tables.append(table("copies", copies, [
            ("kind", "", "texts", lambda c: c["kind"]), ("correlation", "", "ints", lambda c: c["correlation"]),
            ("start_ns", "ns", "ints", lambda c: c["start"] - began),
            ("end_ns", "ns", "ints", lambda c: c["end"] - began),
            ("duration_ns", "ns", "ints", lambda c: c["end"] - c["start"]),
            ("size_bytes", "bytes", "ints", lambda c: c["bytes"])]))
    if rows:
        tables.append(table("counters", rows, [
            ("launch", "", "ints", lambda r: r["launch"]), ("kernel", "", "texts", lambda r: r["kernel"]),
            ("metric", "", "texts", lambda r: r["metric"]), ("unit", "", "texts", lambda r: ""),
            ("value", "", "numbers", lambda r: r["value"])]))
    answer(tables=tables, trace={"file": "trace.csv", "unit": "ns", "kernel": "rocprof"} if dispatches or copies else None,
           counters=[{"name": metric, "unit": "", "kernel": kernel[:1000], "value": total, "instances": count}
                     for (kernel, metric), (total, count) in list(sums.items())[:5000] if metric],
           artifacts=[{"name": os.path.basename(path), "kind": "trace-raw", "left": path} for path in kept[:50]],
           notes=["exec:rocprof was not run on hardware; times begin at the first kernel or copy"])


def main():
    verbs = {"probe": probe, "prepare": prepare, "collect": collect}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        sys.exit(f"usage: {sys.argv[0]} probe|prepare|collect")
    verbs[sys.argv[1]]()


if __name__ == "__main__":
    main()
