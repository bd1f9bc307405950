"""The same API for asyncio: `async with`, and `await` before what waits.

    async with sextant.aio.connect() as sx:
        async with sx.job("matmul") as job:
            run = await job.profile("python matmul.py", passes=["proton*20"])
            timeline = await run.timeline(kernel="mm_kernel")

Each class holds its synchronous twin in `.sync`, and does its calls in threads. Waiting for a job or a task
takes no thread, and can be cancelled without harm to the job."""

from __future__ import annotations

import asyncio
import functools
from types import TracebackType
from typing import (Any, AsyncIterator, Awaitable, Callable, Concatenate, Coroutine, Generator, Optional, ParamSpec, Sequence, TypeVar,
                    cast)

from google.protobuf.message import Message

from sextant import client as _client
from sextant import handles as _handles
from sextant import job as _job
from sextant.analyses import NOT_READ
from sextant.answers import Comparison
from sextant.v1.sextant_pb2 import WatchJobRequest
from sextant.v1.types_pb2 import Event
from sextant.watch import Awaited

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
A = TypeVar("A")


def _lift(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """A method of the synchronous twin, in a thread."""
    @functools.wraps(method)
    async def lifted(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.sync, *args, **kwargs)
    return lifted


def _lift_to(method: Callable[Concatenate[S, P], T],
             wrap: Callable[[T], A]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, A]]:
    """Likewise; what it returns becomes its asynchronous twin."""
    @functools.wraps(method)
    async def lifted(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> A:
        return wrap(await asyncio.to_thread(method, self.sync, *args, **kwargs))
    return lifted


def _after_end(method: Callable[Concatenate[_handles.Run, P], T]
               ) -> Callable[Concatenate["Run", P], Coroutine[Any, Any, T]]:
    """An analysis: waits for what it reads as a future, then asks in a thread."""
    without = NOT_READ.get(method.__name__, frozenset())

    @functools.wraps(method)
    async def lifted(self: "Run", /, *args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs.get("wait", True):
            await self.sync._settle_async(without)
        asked = functools.partial(cast(Callable[..., T], method), self.sync, *args, **{**kwargs, "wait": False})
        return await asyncio.to_thread(asked)
    return lifted


class Task:
    """A task; await it for its end."""

    def __init__(self, sync: _handles.Handle[Any]) -> None:
        self.sync: Any = sync

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self.sync.__await__()
        return self

    @property
    def path(self) -> str:
        return str(self.sync.path)

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return bool(self.sync.done())

    info = _lift(_handles.Handle.info)
    cancel = _lift(_handles.Handle.cancel)
    passes = _lift(_handles.Handle.passes)
    artifacts = _lift(_handles.Handle.artifacts)
    read = _lift(_handles.Handle.read)
    logs = _lift(_handles.Handle.logs)


class External(Task):
    complete = _lift(_handles.External.complete)
    fail = _lift(_handles.External.fail)


class Run(Task):
    """A profile task."""

    timeline = _after_end(_handles.Run.timeline)
    report = _after_end(_handles.Run.report)
    diagnosis = _after_end(_handles.Run.diagnosis)
    critical_path = _after_end(_handles.Run.critical_path)
    costs = _after_end(_handles.Run.costs)
    hotspots = _after_end(_handles.Run.hotspots)
    roofline = _after_end(_handles.Run.roofline)
    registers = _after_end(_handles.Run.registers)
    variation = _after_end(_handles.Run.variation)
    occupancy = _after_end(_handles.Run.occupancy)
    export = _after_end(_handles.Run.export)

    async def ask(self, method: str, *, wait: bool = True, **fields: Any) -> Message:
        """Any RPC about this task by its name."""
        if wait:
            await self.sync
        return await asyncio.to_thread(functools.partial(self.sync.ask, method, wait=wait, **fields))


class Job:
    """A job, or one nested in it. As a block it is like the synchronous one."""

    def __init__(self, sync: _job.Scope) -> None:
        self.sync: Any = sync

    @property
    def job_id(self) -> int:
        return int(self.sync.job_id)

    profile = _lift_to(_job.Scope.profile, Run)
    build = _lift_to(_job.Scope.build, Task)
    rewrite = _lift_to(_job.Scope.rewrite, Task)
    verify = _lift_to(_job.Scope.verify, Task)
    analyze = _lift_to(_job.Scope.analyze, Task)
    external = _lift_to(_job.Scope.external, External)
    info = _lift(_job.Job.info)
    passes = _lift(_job.Job.passes)
    tasks = _lift(_job.Job.tasks)
    explain = _lift(_job.Job.explain)
    seal = _lift(_job.Scope.seal)
    cancel = _lift(_job.Scope.cancel)

    async def events(self, after_seq: int = 0) -> AsyncIterator[Event]:
        """What happens to the job, live until it ends: `async for event in job.events():`."""
        stream = self.sync.client.channel.stream(WatchJobRequest(job_id=self.job_id, after_seq=after_seq), Event)
        events = iter(stream)
        try:
            while (event := await asyncio.to_thread(next, events, None)) is not None:
                yield event
        finally:
            stream.cancel()

    def job(self, name: str, *, after: Sequence[_job.Dependency] = ()) -> "_Opening[Job]":
        """A nested job: `async with job.job("inner") as inner:`."""
        return _Opening(lambda: Job(self.sync.job(name, after=after)))

    def __await__(self) -> Generator[Any, None, "Job"]:
        yield from self.sync.__await__()
        return self

    async def __aenter__(self) -> "Job":
        _job.Scope.__enter__(self.sync)
        return self

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        self.sync._leave()
        if error is not None:
            await asyncio.to_thread(self.sync._abandon, error)
            return
        await asyncio.to_thread(self.sync.seal)
        if isinstance(self.sync, _job.Job):
            info = await Awaited(self.sync.watch.job())
            await asyncio.to_thread(self.sync._take, info, unseen=True)


class Client:
    """One connection to a service."""

    def __init__(self, sync: _client.Client) -> None:
        self.sync = sync

    def job(self, name: str = "job", **options: Any) -> "_Opening[Job]":
        """An open job: `async with sx.job("matmul") as job:`, or `job = await sx.job("matmul")`."""
        return _Opening(lambda: Job(self.sync.job(name, **options)))

    async def get_job(self, job_id: int) -> Job:
        """A job that was submitted before."""
        return Job(await asyncio.to_thread(self.sync.get_job, job_id))

    async def profile(self, *args: Any, **options: Any) -> Run:
        """A job of one profile task."""
        return Run(await asyncio.to_thread(self.sync.profile, *args, **options))

    jobs = _lift(_client.Client.jobs)
    query = _lift(_client.Client.query)
    plan = _lift(_client.Client.plan)
    describe = _lift(_client.Client.describe)
    close = _lift(_client.Client.close)

    async def call(self, method: str, **fields: Any) -> Message:
        """Any RPC that answers once, by its name."""
        return await asyncio.to_thread(functools.partial(self.sync.call, method, **fields))

    async def compare(self, before: Any, after: Any, **options: Any) -> Comparison:
        """Whether `after` is faster or slower than `before`, when both have ended."""
        for one in (before, after):
            if isinstance(one, (Run, Job)):
                await cast(Awaitable[Any], one)
        plain = [one.sync if isinstance(one, (Run, Job)) else one for one in (before, after)]
        return await asyncio.to_thread(functools.partial(self.sync.compare, *plain, **options))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await asyncio.to_thread(self.sync.__exit__, kind, error, trace)


class _Opening(Awaitable[A]):
    """What is made in a thread, by `await` or by `async with`."""

    def __init__(self, make: Callable[[], A]) -> None:
        self._make = make
        self._made: Any = None

    def __await__(self) -> Generator[Any, None, A]:
        return asyncio.to_thread(self._make).__await__()

    async def __aenter__(self) -> A:
        self._made = await asyncio.to_thread(self._make)
        await self._made.__aenter__()
        return cast(A, self._made)

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self._made.__aexit__(kind, error, trace)


def connect(address: str = "", **options: Any) -> _Opening[Client]:
    """`sextant.connect`: `async with sextant.aio.connect() as sx:`, or `sx = await sextant.aio.connect()`."""
    return _Opening(lambda: Client(_client.connect(address, **options)))


def local(directory: Any = None, **options: Any) -> _Opening[Client]:
    """`sextant.local`, likewise."""
    return _Opening(lambda: Client(_client.local(directory, **options)))
