#!/usr/bin/env python3
"""exec:threads: what every thread of a program was doing, sampled from /proc.

A complete third-party backend in one file (docs/adding_a_backend.md). It needs no GPU and no
privilege. Options: interval_ms=N, 1 to 1000, default 5.

Leaves a trace (a track for each thread, a region for each state: running, sleeping, disk, stopped),
the table `resources` (one row a sample: threads, memory, CPU share) and counters of the whole run.
"""

import csv
import json
import os
import shutil
import signal
import sys
import time

STATES = {"R": "running", "S": "sleeping", "D": "disk", "T": "stopped", "t": "stopped"}
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MAX_INTERVALS = 1_000_000
RESULTS = os.environ.get("SEXTANT_RESULTS", "/results")   # where to write


def answer(**fields):
    json.dump(fields, sys.stdout)


def probe():
    if not sys.platform.startswith("linux"):
        return answer(available=False, reason="needs Linux's /proc")
    answer(available=True, tool_version="1", features=["thread-states"])


def prepare():
    told = json.load(sys.stdin)
    for name in told["options"]:
        if name != "interval_ms":
            return answer(error={"message": f'options["{name}"]: exec:threads has interval_ms alone'})
    text = told["options"].get("interval_ms", "5")
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        return answer(error={"message": f'options["interval_ms"]: "{text}" is not between 1 and 1000'})
    me = "/sextant/exec/" + os.path.basename(__file__)
    answer(argv=[shutil.which("python3") or "/usr/bin/python3", me, "run", text, *told["argv"]])


# ---- inside the sandbox, around the program ----------------------------------------------------

def read_thread(pid, tid):
    """Name, state, CPU ticks and resident pages of a thread, or None when it has ended."""
    try:
        with open(f"/proc/{pid}/task/{tid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    fields = text[text.rindex(")") + 2:].split()
    return name, STATES.get(fields[0], "ended"), int(fields[11]) + int(fields[12]), int(fields[21])


def run(interval_ms, argv):
    """Runs the program and samples its threads; ends as it ended."""
    results = RESULTS
    os.environ["PATH"] = "/work:" + os.environ.get("PATH", "/usr/bin:/bin")
    child = os.fork()
    if child == 0:
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
            os._exit(127)
    own, status, written = os.getpid(), None, 0
    open_intervals = {}   # (pid, tid) -> [name, state, since]
    with open(f"{results}/threads.csv", "w", newline="") as states, \
            open(f"{results}/resources.csv", "w", newline="") as resources:
        states_csv, resources_csv = csv.writer(states), csv.writer(resources)

        def close(key, until):
            nonlocal written
            name, state, since = open_intervals.pop(key)
            if written < MAX_INTERVALS:
                states_csv.writerow([*key, name, state, since, until])
                written += 1

        while status is None:
            now, seen, ticks, pages = time.monotonic_ns(), set(), 0, {}
            for entry in os.listdir("/proc"):
                if not entry.isdecimal() or int(entry) in (1, own):
                    continue
                try:
                    tids = os.listdir(f"/proc/{entry}/task")
                except OSError:
                    continue
                for tid in tids:
                    thread = read_thread(entry, tid)
                    if thread is None or thread[1] == "ended":
                        continue
                    key = (int(entry), int(tid))
                    seen.add(key)
                    ticks += thread[2]
                    pages[entry] = thread[3]
                    if key in open_intervals and open_intervals[key][1] != thread[1]:
                        close(key, now)
                    open_intervals.setdefault(key, [thread[0], thread[1], now])
            for key in [k for k in open_intervals if k not in seen]:
                close(key, now)
            resources_csv.writerow([now, len(pages), len(seen), sum(pages.values()) * PAGE_BYTES,
                                    ticks * TICK_NS])
            time.sleep(interval_ms / 1000)
            ended, code = os.waitpid(child, os.WNOHANG)
            if ended == child:
                status = code
        for key in list(open_intervals):
            close(key, time.monotonic_ns())
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


# ---- inside the sandbox, afterwards ------------------------------------------------------------

def rows_of(path, width):
    """Rows of a file that may hold anything: only whole ones, numbers where numbers belong."""
    if os.path.islink(path) or not os.path.isfile(path):
        return
    with open(path, newline="", errors="replace") as file:
        for row in csv.reader(file):
            if len(row) == width:
                yield row


def collect():
    told = json.load(sys.stdin)
    began = int(told["started_monotonic_ns"])
    processes, threads, instances = {}, {}, 0
    with open(f"{RESULTS}/trace.csv", "w", newline="") as file:
        trace = csv.writer(file)
        trace.writerow(["launch", "warp", "role", "region", "start", "duration"])
        for pid, tid, name, state, since, until in rows_of("threads.csv", 6):
            try:
                start, end = int(since) - began, int(until) - began
            except ValueError:
                continue
            if not 0 <= start <= end:
                continue
            process = processes.setdefault(pid, len(processes))
            thread = threads.setdefault((pid, tid), len(threads))
            trace.writerow([process, thread, name, state, start, end - start])
            instances += 1
    if instances == 0:
        return answer(error={"code": "empty", "message": "the program ended before it was sampled once",
                             "remedy": "give it more to do, or sample with a smaller interval_ms"})
    columns = {name: [] for name in ("start_ns", "processes", "threads", "rss_bytes", "cpu_pct")}
    before, peak, cpu_ns = None, 0, 0
    for row in rows_of("resources.csv", 5):
        try:
            at, count, tasks, rss, used = map(int, row)
        except ValueError:
            continue
        share = None
        if before and at > before[0] and used >= before[1]:
            share = 100.0 * (used - before[1]) / (at - before[0])
        for name, value in zip(columns, (max(0, at - began), count, tasks, rss, share)):
            columns[name].append(value)
        before, peak, cpu_ns = (at, used), max(peak, rss), max(cpu_ns, used)
    units = {"start_ns": "ns", "rss_bytes": "bytes", "cpu_pct": "%"}
    answer(
        trace={"file": "trace.csv", "unit": "ns", "kernel": os.path.basename(told["argv"][0])},
        tables=[{"name": "resources", "columns": [
            {"name": name, "unit": units.get(name, ""),
             "numbers" if name == "cpu_pct" else "ints": values} for name, values in columns.items()]}],
        counters=[{"name": "peak_rss", "unit": "bytes", "value": peak},
                  {"name": "sampled_cpu", "unit": "ns", "value": cpu_ns}],
        notes=["times are those of samples: what began and ended between two is not seen"])


def main():
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "run":
        return run(int(sys.argv[2]), sys.argv[3:])
    verbs = {"probe": probe, "prepare": prepare, "collect": collect}
    if verb not in verbs:
        sys.exit(f"usage: {sys.argv[0]} probe|prepare|collect")
    verbs[verb]()


if __name__ == "__main__":
    main()
