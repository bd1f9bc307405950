"""What tests on a real GPU share: a service, a worker, and one pass of a program.

The programs are those of tests/programs/gpu (SEXTANT_GPU_PROGRAMS; default: the build tree's);
SEXTANT_WORKER_FLAGS goes to the worker. Tests are skipped with a message where there is no GPU."""

import os
import pathlib
import shlex
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from harness import BUILD, ServiceTest  # noqa: E402

GPU_PROGRAMS = pathlib.Path(os.environ.get("SEXTANT_GPU_PROGRAMS", BUILD / "tests/programs/gpu"))
WALL_S = 15  # of a pass that hangs, longer than a hang takes to be named; others end long before


def why_not():
    if not pathlib.Path("/dev/nvidiactl").exists():
        return "no NVIDIA GPU on this machine (/dev/nvidiactl is missing)"
    if not (GPU_PROGRAMS / "work").exists():
        return f"no programs in {GPU_PROGRAMS}: nvcc was missing when this tree was configured"
    return ""


@unittest.skipIf(why_not(), why_not())
class GpuTest(ServiceTest):
    WORKER = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service.start_worker("w1", *shlex.split(os.environ.get("SEXTANT_WORKER_FLAGS", "")))
        cls.service.wait_worker()

    def run_job(self, passes, *argv, kernels="", wall_s=WALL_S, options=()):
        """A job of `passes`, and no others, of a program of ours (or, with a slash, of the machine), once it has ended."""
        program = argv[0] if "/" in argv[0] else GPU_PROGRAMS / argv[0]
        flags = ["--no-clean", "--memory", "8G", "--pids", "512", "--wall", f"{wall_s}s", *options]
        for text in passes:
            flags += ["--pass", text]
        if kernels:
            flags += ["--kernels", kernels]
        for name in argv[1:]:
            if name.endswith(".cubin"):
                flags += ["--file", GPU_PROGRAMS / name]
        return self.service.wait_job(
            self.service.run_detached("--fresh", *flags, "--", program, *argv[1:]))

    def run_pass(self, *argv, backend="activity", kernels="", wall_s=WALL_S):
        """One pass; its PassInfo."""
        job = self.run_job([backend], *argv, kernels=kernels, wall_s=wall_s)
        self.assertEqual(len(job["passes"]), 1, job)
        return job["passes"][0]

    def cause(self, info):
        return info["result"].get("failure", {}).get("cause", "")

    def notes(self, info):
        return "\n".join(info["result"].get("notes", []))
