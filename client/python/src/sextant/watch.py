"""What happens to one job, followed as it happens: futures of its tasks, and how far it is."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from concurrent.futures import Future, TimeoutError as FutureTimeout
from typing import Any, Awaitable, Callable, Generator, Optional, TypeVar

from sextant.channel import Channel, Stream
from sextant.errors import Cancelled, SextantError, TookTooLong, Unreachable
from sextant.progress import Bar
from sextant.v1 import types_pb2
from sextant.v1.sextant_pb2 import GetJobRequest, GetJobResponse, WatchJobRequest
from sextant.v1.types_pb2 import Event, JobInfo, TaskInfo

_FINAL = (types_pb2.DONE, types_pb2.FAILED, types_pb2.CANCELLED)
_REDRAW_S = 0.1
_LONGEST_BACKOFF_S = 5.0
#: How long a lost service is waited for while following a job.
RECONNECT_S = 120.0

_T = TypeVar("_T")


def is_final(state: int) -> bool:
    return state in _FINAL


def waiting_for(future: Future[_T]) -> Generator[Any, None, _T]:
    """Awaits a future that others wait for too: cancelling this wait leaves it alone."""
    own: Future[_T] = Future()

    def settle(ended: Future[_T]) -> None:
        if not own.set_running_or_notify_cancel():
            return  # nobody waits any more
        error = ended.exception()
        if error is not None:
            own.set_exception(error)
        else:
            own.set_result(ended.result())

    future.add_done_callback(settle)
    return (yield from asyncio.wrap_future(own).__await__())


class Awaited(Awaitable[_T]):
    """Such a future, for `await`."""

    def __init__(self, future: Future[_T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, _T]:
        return waiting_for(self._future)


class Passes:
    """How many passes of one task are known and ended, from events. Written by the settler alone."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.ended: set[int] = set()
        self.waits = ""

    def take(self, event: Event) -> None:
        if event.pass_id:
            self.seen.add(event.pass_id)
            if is_final(event.state):
                self.ended.add(event.pass_id)
        if event.what == "waiting":
            self.waits = event.message
        elif event.pass_id:
            self.waits = ""


class _Part:
    """What is done before its task is: a future and the condition that settles it."""

    def __init__(self, path: str, enough: Callable[[], bool]) -> None:
        self.path, self.enough = path, enough
        self.future: Future[None] = Future()

    def look(self, ended: bool) -> None:
        try:
            if ended or self.enough():
                self.future.set_result(None)
        except Exception as error:
            self.future.set_exception(error)


class Watch:
    """Follows one job. Two threads, started by the first future asked for: one reads the stream of events
    (again after a lost connection, from the last event seen), one asks how tasks ended and settles futures.
    `listeners` are called with every event, from the settler."""

    def __init__(self, channel: Channel, job_id: int) -> None:
        self._channel = channel
        self._job_id = job_id
        self._lock = threading.Lock()
        self._futures: dict[str, Future[TaskInfo]] = {}
        self._ended: dict[str, TaskInfo] = {}
        self._job: Future[JobInfo] = Future()
        self._parts: list[_Part] = []
        self._settled = False       # the settler has ended
        self._failed: Optional[SextantError] = None
        self._events: queue.SimpleQueue[Optional[Event]] = queue.SimpleQueue()
        self._stream: Optional[Stream[Event]] = None
        self._threads: list[threading.Thread] = []
        self._closed = False
        self.passes: dict[str, Passes] = {}
        self.after_seq = 0
        self.listeners: list[Callable[[Event], None]] = []

    # ---- futures ---------------------------------------------------------------------------------

    def task(self, path: str) -> Future[TaskInfo]:
        """How a task ended. A failed task is a result; an exception is a fault of the service."""
        with self._lock:
            future = self._futures.setdefault(path, Future())
            if not future.done():
                if path in self._ended:
                    future.set_result(self._ended[path])
                elif self._failed is not None:
                    future.set_exception(self._failed)
        self._start()
        return future

    def part(self, path: str, enough: Callable[[], bool]) -> Future[None]:
        """Done when `enough()` says so, which the settler asks whenever a pass of the task has ended; at the latest
        when the task has ended, however it did."""
        part = _Part(path, enough)
        with self._lock:
            failed, over = self._failed, self._settled or path in self._ended
            if failed is None and not over:
                self._parts.append(part)
        if failed is not None:
            part.future.set_exception(failed)
        elif over:
            part.future.set_result(None)
        else:
            self._start()
            self._events.put(Event(task=path))  # seq 0: look at it now
        return part.future

    def job(self) -> Future[JobInfo]:
        """How the job ended."""
        self._start()
        return self._job

    def close(self) -> None:
        """Stops following. Futures that are not settled say so."""
        with self._lock:
            self._closed = True
            stream = self._stream
        if stream is not None:
            stream.cancel()
        self._events.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)
        self._fail(SextantError(f"job {self._job_id} is not followed any more: the client was closed"))

    def _start(self) -> None:
        with self._lock:
            if self._threads or self._closed:
                return
            self._threads = [threading.Thread(target=target, name=f"sextant-{name}-{self._job_id}", daemon=True)
                             for target, name in ((self._read, "watch"), (self._settle, "settle"))]
            for thread in self._threads:
                thread.start()

    # ---- the reading thread ----------------------------------------------------------------------

    def _read(self) -> None:
        backoff, lost_at = 0.1, 0.0
        while True:
            with self._lock:
                if self._closed:
                    return
                request = WatchJobRequest(job_id=self._job_id, after_seq=self.after_seq)
                stream = self._stream = self._channel.stream(request, Event)
            try:
                for event in stream:
                    backoff, lost_at = 0.1, 0.0
                    if event.seq > self.after_seq:
                        self.after_seq = event.seq
                        self._events.put(event)
                self._events.put(None)  # the job has ended
                return
            except Cancelled as error:
                if not self._closed:
                    self._fail(error)
                return
            except Unreachable as error:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > RECONNECT_S:
                    self._fail(error)
                    return
                time.sleep(backoff)
                backoff = min(2 * backoff, _LONGEST_BACKOFF_S)
            except SextantError as error:
                self._fail(error)
                return
            except Exception as error:  # the channel was closed under the stream
                if not self._closed:
                    self._fail(SextantError(f"job {self._job_id} cannot be followed: {error}"))
                return

    def _fail(self, error: SextantError) -> None:
        with self._lock:
            self._failed = error
            waiting: list[Future[Any]] = [f for f in self._futures.values() if not f.done()]
            waiting += [part.future for part in self._parts]
            self._parts = []
            for future in waiting:
                future.set_exception(error)
            if not self._job.done():
                self._job.set_exception(error)
        self._events.put(None)

    # ---- the settling thread ---------------------------------------------------------------------

    def _settle(self) -> None:
        try:
            self._follow()
        finally:
            with self._lock:
                self._settled = True
                parts, self._parts = self._parts, []
            for part in parts:
                part.look(ended=True)

    def _follow(self) -> None:
        while True:
            batch = [self._events.get()]
            while not self._events.empty():
                batch.append(self._events.get())
            ended: set[str] = set()
            moved: set[str] = set()   # tasks of which a pass has ended, or that somebody asks about
            for event in batch:
                if event is None:
                    continue
                if not event.seq:
                    moved.add(event.task)
                    continue
                self.passes.setdefault(event.task, Passes()).take(event)
                if event.task and is_final(event.state):
                    (moved if event.pass_id else ended).add(event.task)
                for listener in list(self.listeners):
                    listener(event)
            last = batch[-1] is None
            if last and (self._failed is not None or self._closed):
                return
            try:
                if ended or last:
                    self._look()
                self._look_at_parts(moved | ended)
            except SextantError as error:
                self._fail(error)
                return
            except Exception as error:
                if not self._closed:
                    self._fail(SextantError(f"job {self._job_id}: {error}"))
                return
            if last:
                return

    def _look(self) -> None:
        """Reads the job's tasks and settles the futures of those that have ended."""
        after = ""
        while True:
            answer = self._channel.call(GetJobRequest(job_id=self._job_id, with_tasks=True, tasks_after=after),
                                        GetJobResponse)
            with self._lock:
                for info in answer.tasks:
                    if is_final(info.state) and info.path not in self._ended:
                        self._ended[info.path] = info
                ready = [(f, self._ended[p]) for p, f in self._futures.items() if p in self._ended and not f.done()]
            for future, info in ready:
                future.set_result(info)
            if not answer.more_tasks:
                break
            after = answer.tasks[-1].path
        if is_final(answer.job.state) and not self._job.done():
            self._job.set_result(answer.job)

    def _look_at_parts(self, moved: set[str]) -> None:
        with self._lock:
            parts = [(part, part.path in self._ended) for part in self._parts if part.path in moved]
        for part, ended in parts:
            part.look(ended)
        with self._lock:
            self._parts = [part for part in self._parts if not part.future.done()]

    def ended(self) -> list[TaskInfo]:
        with self._lock:
            return list(self._ended.values())

    # ---- waiting with a bar ----------------------------------------------------------------------

    def wait_task(self, path: str, expected: int, timeout: Optional[float], bar: Bar) -> TaskInfo:
        """Waits for a task; draws its passes."""
        return self._wait_drawing(self.task(path), path, expected, timeout, bar)

    def wait_part(self, path: str, enough: Callable[[], bool], expected: int, bar: Bar) -> None:
        """Waits for a part of a task; draws the passes of all of it."""
        self._wait_drawing(self.part(path, enough), path, expected, None, bar)

    def _wait_drawing(self, future: Future[_T], path: str, expected: int, timeout: Optional[float], bar: Bar) -> _T:
        def show() -> None:
            seen = self.passes.get(path)
            if seen is not None:
                if seen.waits:
                    bar.say(f"{path} waits: {seen.waits}")
                bar.show(len(seen.ended), max(expected, len(seen.seen)))
        return _wait(future, timeout, show, bar, f"task {path} of job {self._job_id}")

    def wait_job(self, timeout: Optional[float], bar: Bar) -> JobInfo:
        """Waits for the job; draws the passes of all its tasks."""

        def show() -> None:
            passes = list(self.passes.values())
            for path, seen in list(self.passes.items()):
                if seen.waits:
                    bar.say(f"{path} waits: {seen.waits}")
            bar.show(sum(len(p.ended) for p in passes), sum(len(p.seen) for p in passes))
        return _wait(self.job(), timeout, show, bar, f"job {self._job_id}")


def _wait(future: Future[_T], timeout: Optional[float], show: Callable[[], None], bar: Bar, what: str) -> _T:
    end = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            left = _REDRAW_S if end is None else min(_REDRAW_S, max(0.0, end - time.monotonic()))
            try:
                return future.result(left)
            except FutureTimeout:
                if future.done():
                    raise
                if end is not None and time.monotonic() >= end:
                    raise TookTooLong(f"{what} has not ended after {timeout:g} s",
                                      remedy="it goes on; wait again, or cancel it") from None
                show()
    finally:
        bar.close()
