"""A service of its own for a benchmark: `sextant up`, passes, what they counted, `sextant down`."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def program(name):
    """From $SEXTANT_BIN (a bundle's bin), the build tree, or the path."""
    for place in (os.environ.get("SEXTANT_BIN", ""), *(ROOT / "build" / p for p in ("client/cli", "bin"))):
        if place and os.access(os.path.join(place, name), os.X_OK):
            return os.path.join(place, name)
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is neither in $SEXTANT_BIN nor in build/; build it first")
    return found


class Service:
    """Started by `with`; ended and removed after it. Arguments go to the worker."""

    def __init__(self, *worker_arguments):
        self.directory = tempfile.mkdtemp(prefix="sextant-bench-")
        os.chmod(self.directory, 0o755)
        self.environment = dict(os.environ, SEXTANT_HOME=self.directory, NO_COLOR="1")
        self.worker_arguments = worker_arguments

    def __enter__(self):
        extra = ["--", *self.worker_arguments] if self.worker_arguments else []
        self.cli("up", "--state", self.directory, *extra)
        return self

    def __exit__(self, *_):
        subprocess.run([program("sextant"), "down"], env=self.environment, capture_output=True, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def wait_proved(self, limit_s=120):
        """Returns when the worker has proved its backends on the GPU, which takes seconds of it."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            # Proofs run in the order of names; this is the last.
            plan = json.loads(self._run(["--format", "json", "run", "--plan", "--no-clean", "--pass", "sassmetrics", "--",
                                         "/bin/true"]).stdout)
            if "being proved" not in plan["passes"][0].get("problem", ""):
                return
            time.sleep(0.2)

    def try_cli(self, *arguments):
        """What the command printed, whether it succeeded or not."""
        done = self._run(arguments)
        return done.stdout + done.stderr

    def _run(self, arguments, cwd=None):
        return subprocess.run([program("sextant"), *map(str, arguments)], env=self.environment, cwd=cwd,
                              capture_output=True, text=True, check=False)

    def cli(self, *arguments):
        return self.cli_in(None, *arguments)

    def cli_in(self, cwd, *arguments):
        """Run from the directory `cwd`; what it printed."""
        done = self._run(arguments, cwd)
        if done.returncode != 0:
            raise SystemExit(f"sextant {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def run_pass(self, text, argv, *options):
        """One pass of a program; (its result as in the protocol, wall seconds from submission to its end)."""
        began = time.monotonic()
        answer = self.cli("--format", "json", "run", "--detach", "--fresh", "--no-clean", "--memory", "16G", "--pids", "512",
                          "--wall", "120s", *options, "--pass", text, "--", *argv)
        job = json.loads(answer.splitlines()[0])["job_id"]
        while True:
            state = json.loads(self.cli("--format", "json", "job", job, "--passes"))
            if state["job"]["state"] in ("DONE", "FAILED", "CANCELLED"):
                break
            time.sleep(0.02)
        took = time.monotonic() - began
        one = state["passes"][0]
        if one["state"] != "DONE":
            raise SystemExit(f"pass {text}: {one['state']}: {json.dumps(one.get('result', {}).get('failure', one))}")
        return one["result"], took


def by_kernel(result):
    """(kernel, counter) → value. Names are cut before their parameters."""
    return {(short(c["kernel"]), c["name"]): c.get("value", 0.0) for c in result.get("counters", []) if c.get("kernel")}


def short(kernel):
    name = kernel.split("(")[0] if not kernel.startswith("(") else kernel
    return name.removeprefix("void ").strip()
