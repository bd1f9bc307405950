"""A whole service for a test: real sextantd with its private PostgreSQL, real workers, the real CLI.

Everything lives in one temporary directory and ends with the test. Programs are found in the build
tree given by SEXTANT_BUILD (default: build)."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEXTANT_BUILD", ROOT / "build")).resolve()


def program(built):
    """A program of the build tree, or of an installation (an unpacked bundle)."""
    installed = BUILD / "bin" / pathlib.Path(built).name
    return installed if installed.exists() else BUILD / built


SEXTANT = program("client/cli/sextant")
SEXTANTD = program("server/sextantd")
WORKER = program("workers/sextant-worker")
PROGRAMS = BUILD / "tests/programs"
PIPELINE = BUILD / "examples/async_pipeline/async_pipeline"

PATIENCE_S = 60  # longest wait for something that must happen; never a measure of speed


def wait_until(condition, what):
    """Returns condition()'s first true value; fails after PATIENCE_S naming `what`."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not happen: {what}")


def endless():
    """A command that ends only when it is killed, like no other on this machine."""
    return ["sleep", f"100000.{time.time_ns()}"]


def processes(argv):
    """Ids of the processes started with these arguments, also inside containers."""
    words = b"".join(a.encode() + b"\0" for a in argv)
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == words:
                found.add(path.parent.name)
    return found


class Process:
    """A program whose output goes to a file, and that is killed at the end of the test."""

    def __init__(self, argv, log, env=None):
        self.argv, self.log = [str(a) for a in argv], log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                          env=env, start_new_session=True)

    @property
    def alive(self):
        return self.popen.poll() is None

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        if self.alive:
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.alive:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout=PATIENCE_S)

    def text(self):
        return pathlib.Path(self.log).read_text(errors="replace")


class Result:
    def __init__(self, completed):
        self.code = completed.returncode
        self.out = completed.stdout
        self.err = completed.stderr

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]


class Service:
    """One coordinator and any number of workers."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sextant-e2e-"))
        self.dir.chmod(0o755)
        self.socket = self.dir / "sextantd.sock"
        self.address = f"unix://{self.socket}"
        self.coordinator = None
        self.workers = {}

    # ---- processes ----
    def start_coordinator(self, *extra, wait=True):
        self.coordinator = Process(
            [SEXTANTD, "--state", self.dir / "state", "--listen", self.address,
             "--log-level", "info", *extra], self.dir / "sextantd.log")
        if wait:
            self.wait_serving()
        return self.coordinator

    def wait_serving(self):
        def serving():
            if not self.coordinator.alive:
                raise AssertionError("sextantd ended:\n" + self.coordinator.text()[-4000:])
            return self.cli("jobs", "--limit", "1").code == 0
        wait_until(serving, "sextantd serves")

    def start_worker(self, name="w1", *extra):
        worker = Process(
            [WORKER, "--coordinator", self.address, "--state", self.dir / name, "--name", name,
             *extra], self.dir / f"{name}.log")
        self.workers[name] = worker
        return worker

    def wait_worker(self, name="w1"):
        """Until the coordinator knows the worker as live."""
        wait_until(lambda: self.query(
            f"SELECT 1 FROM workers WHERE name = '{name}' AND live"), f"worker {name} is attached")

    def postmaster_pid(self):
        found = sorted((self.dir / "state").rglob("postmaster.pid"))
        return int(found[0].read_text().splitlines()[0]) if found else None

    def close(self):
        for worker in self.workers.values():
            worker.kill()
        if self.coordinator is not None and self.coordinator.alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.coordinator.stop()
            self.coordinator.kill()
        pid = self.postmaster_pid()
        if pid:  # the coordinator was killed: its PostgreSQL is still there
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
                wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "PostgreSQL ends")
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- the CLI ----
    def cli(self, *args, stdin=None, cwd=None):
        env = dict(os.environ, SEXTANT_SERVER=self.address, NO_COLOR="1",
                   SEXTANT_HOME=str(self.dir / "home"))
        return Result(subprocess.run([str(SEXTANT), *[str(a) for a in args]], input=stdin, cwd=cwd,
                                     env=env, capture_output=True, text=True, timeout=300))

    def ok(self, *args, **kwargs):
        """The command must exit 0."""
        result = self.cli(*args, **kwargs)
        if result.code != 0:
            raise AssertionError(f"sextant {' '.join(map(str, args))}: exit {result.code}\n"
                                 f"{result.out[-3000:]}\n{result.err[-3000:]}\n"
                                 f"--- sextantd\n{self.coordinator.text()[-3000:]}")
        return result

    def submit(self, graph, *args):
        """Submits a graph given as a dict, returns the job's id."""
        path = self.dir / f"graph-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(graph))
        answer = self.ok("--format", "json", "submit", path, *args).lines()[0]
        return int(answer["job_id"])

    def run_detached(self, *args):
        answer = self.ok("--format", "json", "run", "--detach", *args).lines()[0]
        return int(answer["job_id"])

    def job(self, job_id):
        return self.ok("--format", "json", "job", job_id, "--passes").json()

    def wait_job(self, job_id):
        """The job's message once it has ended."""
        def ended():
            result = self.cli("--format", "json", "job", job_id, "--passes")
            if result.code != 0:
                return None
            answer = result.json()
            return answer if answer["job"]["state"] in ("DONE", "FAILED", "CANCELLED") else None
        return wait_until(ended, f"job {job_id} ends")

    def query(self, sql):
        """Rows of a query as lists of text; empty while the service is away."""
        result = self.cli("--format", "json", "query", sql)
        if result.code != 0:
            return []
        return [[cell.get("text") for cell in row.get("cells", [])]
                for row in result.json().get("rows", [])]


class ServiceTest(unittest.TestCase):
    """A test class with one service for all its tests, and one worker unless WORKER is False."""

    WORKER = True

    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.addClassCleanup(cls.service.close)
        cls.service.start_coordinator()
        if cls.WORKER:
            cls.service.start_worker()
            cls.service.wait_worker()


def in_threads(functions):
    """Runs functions at once, re-raises the first error."""
    errors = []

    def guard(function):
        try:
            function()
        except BaseException as error:  # reported below
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
