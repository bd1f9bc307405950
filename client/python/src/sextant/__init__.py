"""Sextant's Python client: submit programs to a multi-pass GPU profiling service, and read its answers.

    import sextant
    with sextant.connect() as sx:
        with sx.job("matmul") as job:
            run = job.profile("python matmul.py", passes=["proton*20", "counters:ipc,stalls"], kernels="mm_.*")
            tl = run.timeline(kernel="mm_kernel")
            tl.plot(); tl.to_pandas(); run.report().tldr

Everything that waits has an `await` twin in `sextant.aio`. docs/python.md has more examples."""

from sextant import aio
from sextant._version import VERSION as __version__
from sextant.answers import (Answer, Comparison, CriticalPath, Diagnosis, Hotspots, Occupancy, RegionCosts, Registers,
                             Report, Roofline, Variation)
from sextant.calls import Call, TaskFunction, task
from sextant.client import Client, Plan, compare, connect, local
from sextant.errors import (AlreadyExists, Cancelled, Forbidden, InDoubt, InternalError, InvalidArgument, LimitReached,
                            NotFound, NotOffered, ServiceError, SextantError, TaskFailed, TokenRefused, TookTooLong,
                            Unreachable, UsageError, WrongState)
from sextant.handles import External, Handle, Pass, PassList, Run, Task
from sextant.job import Group, Job, Scope
from sextant.kernel import Kernel, Tensor, kernel
from sextant.passes import parse_pass
from sextant.timeline import Timeline
from sextant.workload import Workload

__all__ = [
    "AlreadyExists", "Answer", "Call", "Cancelled", "Client", "Comparison", "CriticalPath", "Diagnosis", "External",
    "Forbidden", "Group", "Handle", "Hotspots", "InDoubt", "InternalError", "InvalidArgument", "Job", "Kernel",
    "LimitReached", "NotFound", "NotOffered", "Occupancy", "Pass", "PassList", "Plan", "RegionCosts", "Registers",
    "Report", "Roofline", "Run", "Scope", "ServiceError", "SextantError", "Task", "TaskFailed", "TaskFunction",
    "Tensor", "Timeline", "TokenRefused", "TookTooLong", "Unreachable", "UsageError", "Variation", "Workload",
    "WrongState", "__version__", "aio", "compare", "connect", "kernel", "local", "parse_pass", "task",
]
