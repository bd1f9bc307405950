#!/usr/bin/env python3
"""Every GPU example under every instrument, through the service, in its sandbox.

  bench/run gpu-examples [--out DIR] [--only NAME] [--passes N]

For each example a job with clean passes and N passes that look into its kernels, then one job for each
other instrument. Prints how each ended and what it saw; with --out also leaves timelines, reports and
recordings there (docs/recordings.md). Exits 1 when a pass failed that should not.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from gpu import common  # noqa: E402
from gpu.service import Service  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PYTHON = ["python3"]

# name → (program and arguments, looks into kernels with, files beside the program)
PROGRAMS = {
    "gemm_ws": (["./gemm_ws"], "scopes", "gemm_ws/gemm_ws.cu"),
    "truth_spins": (["./truth_spins"], "scopes", "truth_spins/truth_spins.cu"),
    "cuda_graph": (["./cuda_graph"], "scopes", "cuda_graph/cuda_graph.cu"),
    "triton_matmul": (["python3", "matmul.py"], "proton:mode=intra", "triton_matmul"),
    "triton_attention": (["python3", "attention.py"], "proton:mode=intra", "triton_attention"),
    "gluon_ws": (["python3", "matmul_ws.py"], "proton:mode=intra", "gluon_ws"),
    "pytorch_mlp": (["python3", "mlp.py"], None, "pytorch_mlp"),
}
OTHERS = ["activity", "counters:set=ipc+stalls+memory+tensor+occupancy", "pcsampling", "sassmetrics", "pmsampling",
          "ir", "ncu:set=basic", "sanitizer:tool=memcheck"]


def prepare(name, directory):
    """The example's files in a directory of its own."""
    argv, _, source = PROGRAMS[name]
    place = directory / name
    place.mkdir()
    if source.endswith(".cu"):
        common.compile_cuda(f"examples/{source}", place / name, "-lineinfo", f"-I{EXAMPLES / name}", "-lcuda")
    else:
        for file in (EXAMPLES / source).glob("*.py"):
            shutil.copy(file, place)
    return argv, place


def wait(service, job):
    while True:
        state = json.loads(service.cli("--format", "json", "job", job, "--passes"))
        if state["job"]["state"] in ("DONE", "FAILED", "CANCELLED"):
            return state
        time.sleep(0.2)


def submit(service, argv, place, *passes):
    previous = os.getcwd()
    os.chdir(place)
    try:
        command = ["--format", "json", "run", "--detach", "--fresh", "--no-clean", "--memory", "24G", "--pids", "1024", "--wall",
                   "150s", "--disk", "8G", "--deadline", "10m"]
        for text in passes:
            command += ["--pass", text]
        files = [f for f in sorted(os.listdir(place)) if f.endswith(".py")]
        for file in files:
            command += ["--file", file]
        answer = service.cli(*command, "--", *argv)
    finally:
        os.chdir(previous)
    return json.loads(answer.splitlines()[0])["job_id"]


def describe(one):
    result = one.get("result", {})
    failure = result.get("failure")
    if failure:
        return f"{failure.get('cause')}: {failure.get('message', '')}"
    tables = [a["name"][: -len(".table")] for a in result.get("artifacts", []) if a.get("kind") == "table"]
    parts = [f"{result.get('events', '0')} events" if int(result.get("events", 0) or 0) else "",
             f"{len(result.get('counters', []))} counters" if result.get("counters") else "",
             "tables " + ", ".join(tables) if tables else "",
             f"{sum(a.get('kind') == 'ir' for a in result.get('artifacts', []))} IR files"
             if any(a.get("kind") == "ir" for a in result.get("artifacts", [])) else "",
             f"{result['dropped']} dropped" if int(result.get("dropped", 0) or 0) else "",
             "partial" if result.get("partial") else ""]
    return "; ".join(part for part in parts if part)


def show(name, passes, seconds, state):
    """One line for each kind of pass; the number that failed."""
    kinds = {}
    for one in state["passes"]:
        options = ",".join(f"{k}={v}" for k, v in sorted(one["spec"].get("options", {}).items()))
        kinds.setdefault(one["spec"]["backend"] + (":" + options if options else ""), []).append(one)
    failed = 0
    for kind, group in kinds.items():
        bad = [one for one in group if one["state"] != "DONE"]
        failed += len(bad)
        print(f"| {name} | {kind} | {len(group) - len(bad)}/{len(group)} | {seconds:.1f} | {describe((bad or group)[0])[:300]} |",
              flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--only", action="append", choices=sorted(PROGRAMS))
    parser.add_argument("--passes", type=int, default=20)
    arguments = parser.parse_args()
    work = pathlib.Path(common.tempfile.mkdtemp(prefix="sextant-examples-"))
    os.chmod(work, 0o755)
    worker = []
    python = shutil.which("python3")
    if python and not python.startswith("/usr/bin"):
        worker += ["--path-prefix", os.path.dirname(python)]
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        worker += ["--record", str(work / "recordings")]
    failed, ran = 0, 0
    began = time.monotonic()
    with Service(*worker) as service:
        print("| example | passes | ended well | s | what the first left (or why it failed) |")
        print("| --- | --- | --- | --- | --- |")
        jobs = {}
        for name in arguments.only or PROGRAMS:
            argv, place = prepare(name, work)
            look = PROGRAMS[name][1]
            first = ["activity:light=1*3"] + ([f"{look}*{arguments.passes}"] if look else [])
            for passes in [first, *([other] for other in OTHERS)]:
                start = time.monotonic()
                job = submit(service, argv, place, *passes)
                state = wait(service, job)
                failed += show(name, passes, time.monotonic() - start, state)
                ran += len(state["passes"])
                jobs.setdefault(name, []).append(job)
        if arguments.out:
            for name, ids in jobs.items():
                (arguments.out / f"{name}.txt").write_text(
                    service.try_cli("timeline", ids[0]) + "\n" + service.try_cli("report", ids[0]))
            if (work / "recordings").exists():
                shutil.make_archive(str(arguments.out / "recordings"), "tar", work / "recordings")
            else:
                print("no pass was recorded: see the workers' log")
    shutil.rmtree(work, ignore_errors=True)
    common.finish("gpu-examples", {"passes": ran, "failed": failed, "wall_s": time.monotonic() - began})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
