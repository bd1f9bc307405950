#!/usr/bin/env python3
"""Every GPU example under every instrument, through the service, in its sandbox.

  bench/run gpu-examples [--out DIR] [--only NAME]… [--passes N] [--small] [--skip [EXAMPLE:]BACKEND]…

For each example a job with clean passes and N passes that look into its kernels, then one job for each
other instrument. Prints how each ended and what it saw; with --out also leaves timelines, reports, what
the service knows of each pass, and recordings there (docs/recordings.md). --small runs the examples at
sizes whose recordings are small. Exits 1 when a pass failed that should not."""

import argparse
import dataclasses
import gzip
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

MANY = ",launches=40"  # of a program that launches too much to replay it all


@dataclasses.dataclass
class Program:
    argv: list
    source: str                  # a CUDA file, or a folder of Python files
    look: str = ""               # what looks into its kernels
    small: list = dataclasses.field(default_factory=list)   # arguments for --small
    most: str = ""               # options of passes that replay launches
    ncu: str = ""                # the same for ncu


PROGRAMS = {
    "gemm_ws": Program(["./gemm_ws"], "gemm_ws/gemm_ws.cu", "scopes:ctas=1/16", ["2048", "2048", "2048", "5"]),
    "triton_matmul": Program(["python3", "matmul.py"], "triton_matmul", "proton:mode=intra"),
    "triton_attention": Program(["python3", "attention.py"], "triton_attention", "proton:mode=intra"),
    "gluon_ws": Program(["python3", "matmul_ws.py"], "gluon_ws", "proton:mode=intra"),
    "truth_spins": Program(["./truth_spins"], "truth_spins/truth_spins.cu", "scopes"),
    "cuda_graph": Program(["./cuda_graph"], "cuda_graph/cuda_graph.cu", "scopes:ctas=1/16", ["3", "512"]),
    "pytorch_mlp": Program(["python3", "mlp.py"], "pytorch_mlp", "", [], MANY, ",launch_skip=100,launch_count=40"),
}
OTHERS = ["activity", "counters:set=ipc+stalls+memory+tensor+occupancy+spills+roofline", "pcsampling", "sassmetrics",
          "pmsampling:interval_us=5", "ir", "ncu:set=basic", "sanitizer:tool=memcheck"]
# A CUDA graph cannot be replayed kernel by kernel, so only what fits into one hardware pass is counted of it.
GRAPH_COUNTERS = "counters:set=ipc"


def prepare(name, directory, small):
    """The example's command, and its files in a directory of its own."""
    program = PROGRAMS[name]
    place = directory / name
    place.mkdir()
    if program.source.endswith(".cu"):
        common.compile_cuda(f"examples/{program.source}", place / name, "-lineinfo", f"-I{EXAMPLES / name}")
    else:
        for file in (EXAMPLES / program.source).glob("*.py"):
            shutil.copy(file, place)
    return program.argv + (program.small if small else []), place


def jobs_of(name, passes, skip):
    """The passes of each job."""
    program = PROGRAMS[name]
    clean = 3 if program.look else passes
    jobs = [[f"activity:light=1*{clean}"] + ([f"{program.look}*{passes}"] if program.look else [])]
    for other in OTHERS:
        backend = other.split(":")[0]
        if backend in skip or f"{name}:{backend}" in skip:
            continue
        if name == "cuda_graph" and other.startswith("counters"):
            other = GRAPH_COUNTERS
        other += program.most if other.startswith("counters") else program.ncu if other.startswith("ncu") else ""
        jobs.append([other])
    return jobs


def wait(service, job):
    while True:
        state = json.loads(service.cli("--format", "json", "job", job, "--passes"))
        if state["job"]["state"] in ("DONE", "FAILED", "CANCELLED"):
            return state
        time.sleep(0.2)


def submit(service, argv, place, deadline, *passes):
    """The job's id; None where no worker offers a pass of it."""
    previous = os.getcwd()
    os.chdir(place)
    try:
        command = ["--format", "json", "run", "--fresh", "--no-clean", "--memory", "24G", "--pids", "1024", "--wall",
                   "150s", "--disk", "8G", "--deadline", deadline]
        for text in passes:
            command += ["--pass", text]
        files = [f for f in sorted(os.listdir(place)) if f.endswith(".py")]
        for file in files:
            command += ["--file", file]
        plan = json.loads(service.try_cli(*command, "--plan", "--", *argv))
        for one in plan["passes"]:
            if one.get("problem") and "activity" not in one["spec"]["backend"]:
                print(f"| {place.name} | {' '.join(passes)} | 0 | | {one['problem']} |")
                return None
        answer = service.cli(*command, "--detach", "--", *argv)
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
    if not state.get("passes"):
        print(f"| {name} | {' '.join(passes)} | 0 | {seconds:.1f} | {state['job'].get('failure', state['job'])} |", flush=True)
        return 1
    kinds = {}
    for one in state["passes"]:
        options = ",".join(f"{k}={v}" for k, v in sorted(one["spec"].get("options", {}).items()))
        kinds.setdefault(one["spec"]["backend"] + (":" + options if options else ""), []).append(one)
    failed = 0
    seconds = max(float(one.get("result", {}).get("exit", {}).get("wall_s", 0)) for one in state["passes"]), seconds
    for kind, group in kinds.items():
        bad = [one for one in group if one["state"] != "DONE"]
        failed += len(bad)
        print(f"| {name} | {kind} | {len(group) - len(bad)}/{len(group)} | {seconds[0]:.1f} of {seconds[1]:.1f} | {describe((bad or group)[0])[:300]} |",
              flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--only", action="append", choices=sorted(PROGRAMS))
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--skip", action="append", default=[], metavar="[EXAMPLE:]BACKEND", help="what is not run")
    parser.add_argument("--deadline", default="10m", help="of each job")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further job begins")
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
        print("| example | passes | ended well | s of a pass, of the job | what the first left (or why it failed) |")
        print("| --- | --- | --- | --- | --- |")
        jobs, states = {}, []
        for name in arguments.only or PROGRAMS:
            argv, place = prepare(name, work, arguments.small)
            for passes in jobs_of(name, arguments.passes, arguments.skip):
                start = time.monotonic()
                if start - began > arguments.budget:
                    print(f"| {name} | {' '.join(passes)} | not run: the budget is spent | | |")
                    continue
                job = submit(service, argv, place, arguments.deadline, *passes)
                if job is None:
                    failed += 1
                    continue
                state = wait(service, job)
                failed += show(name, passes, time.monotonic() - start, state)
                ran += len(state.get("passes", []))
                jobs.setdefault(name, []).append(job)
                states.append({"example": name, **state})
        if arguments.out:
            with gzip.open(arguments.out / "passes.json.gz", "wt", encoding="utf-8") as file:
                json.dump(states, file)
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
