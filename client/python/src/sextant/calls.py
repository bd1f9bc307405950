"""Graphs made of decorated functions.

A function decorated with `@sextant.task` runs in this process, because that is where its closures, its
environment and its credentials are. What the service holds is an external task: it knows what the function
waits for, shows it in the graph, and keeps its result as an artifact, so that tasks on workers can wait for
it and read it. What should run on a worker is a program: `job.profile`, `job.build`, `@sextant.kernel`."""

from __future__ import annotations

import contextvars
import functools
import json
import threading
from concurrent.futures import Future
from typing import Any, Callable, Generator, Generic, NoReturn, Optional, TypeVar, Union, overload

from sextant.errors import SextantError, TaskFailed, UsageError, explain
from sextant.handles import Handle
from sextant.job import Scope, current
from sextant.v1 import types_pb2
from sextant.v1.types_pb2 import ExternalTask, TaskInfo, TaskSpec
from sextant.watch import waiting_for

T = TypeVar("T")

RESULT_JSON = "result.json"
RESULT_TEXT = "result.txt"
_MOST_BYTES = 1 << 20


class Call(Handle[T]):
    """A call of a task's function: a future of what it returns. Give it to other tasks' functions as an
    argument, or to `inputs` of a task on a worker, which reads it as "result.json" ("result.txt" of what
    JSON cannot hold)."""

    def __init__(self, scope: Scope, path: str) -> None:
        super().__init__(scope, path)
        self._outcome: Future[T] = Future()

    def _value(self, info: TaskInfo) -> T:
        return self._outcome.result()

    def _raise(self, info: TaskInfo) -> NoReturn:
        if self._outcome.done() and (error := self._outcome.exception()) is not None:
            raise error
        raise TaskFailed(info)

    def __await__(self) -> Generator[Any, None, T]:
        info = yield from waiting_for(self._future())
        return self._take(info)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:  # type: ignore[override]
        """What the function raised, or why it did not run; None: it returned."""
        try:
            self.result(timeout)
        except TimeoutError:
            raise
        except BaseException as error:
            return error
        return None


def _handles(value: Any) -> list[Handle[Any]]:
    """Tasks among arguments, also inside lists, tuples and dictionaries."""
    if isinstance(value, Handle):
        return [value]
    if isinstance(value, (list, tuple, set)):
        return [h for v in value for h in _handles(v)]
    if isinstance(value, dict):
        return [h for v in value.values() for h in _handles(v)]
    return []


def _resolved(value: Any) -> Any:
    """Arguments with calls replaced by what they returned. Runs and other tasks stay what they are."""
    if isinstance(value, Call):
        return value._outcome.result()
    if isinstance(value, (list, tuple, set)):
        return type(value)(_resolved(v) for v in value)
    if isinstance(value, dict):
        return {k: _resolved(v) for k, v in value.items()}
    return value


def _artifact(value: Any) -> dict[str, Union[str, bytes]]:
    try:
        text = json.dumps(value, default=lambda v: {"task": v.path, "job": v.job_id} if isinstance(v, Handle) else _no(v))
        if len(text) <= _MOST_BYTES:
            return {RESULT_JSON: text}
    except (TypeError, ValueError):
        pass
    return {RESULT_TEXT: repr(value)[:_MOST_BYTES]}


def _no(value: Any) -> NoReturn:
    raise TypeError(type(value).__name__)


class TaskFunction(Generic[T]):
    """A function whose calls are tasks of the job whose block they are in; `function` is the plain one."""

    def __init__(self, function: Callable[..., T], name: str) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Call[T]:
        scope = current()
        if scope is None:
            raise UsageError(f"{self.name}: no job is open here", field=self.name,
                             remedy=f"call it inside `with sx.job(…):`, or call {self.name}.function for the plain function")
        return self.on(scope, *args, **kwargs)

    def on(self, scope: Scope, *args: Any, **kwargs: Any) -> Call[T]:
        """The call as a task of this job. It starts when the tasks among its arguments are done, in a thread
        of its own; tasks it makes itself are tasks of the same job."""
        needs = {h.path: h for h in _handles([args, kwargs])}
        for need in needs.values():
            if need.job_id != scope.job_id:
                raise UsageError(f"{self.name}: {need.path} is a task of job {need.job_id}, not of job {scope.job_id}",
                                 field=self.name, remedy="wait for it, and give its result")
        said = (self.function.__doc__ or "").strip().splitlines()
        instructions = f"Python function {self.name}" + (f": {said[0]}" if said else "")
        path = scope._add(TaskSpec(external=ExternalTask(instructions=instructions)), self.name, {}, [], (), (),
                          list(needs.values()))
        call: Call[T] = Call(scope, path)
        scope._keep(call)
        context = contextvars.copy_context()

        def run() -> None:
            try:
                value = context.run(self.function, *_resolved(args), **_resolved(kwargs))
            except BaseException as error:
                call._outcome.set_exception(error)
                self._tell(call, {}, error)
            else:
                call._outcome.set_result(value)
                self._tell(call, _artifact(value), None)

        _when_done(list(needs.values()), lambda: threading.Thread(target=run, name=f"sextant-{path}", daemon=True).start())
        return call

    def _tell(self, call: Call[T], artifacts: dict[str, Union[str, bytes]], error: Optional[BaseException]) -> None:
        try:
            call.scope.complete(call.path, artifacts, failed=error is not None, message=explain(error))
        except SextantError as refused:  # cancelled meanwhile, or the service is gone: its state says so
            call.scope.client.note(f"the result of {call.path} was not taken: {refused.message}")

    def __repr__(self) -> str:
        return f"<task {self.name}>"


def _when_done(needs: list[Handle[Any]], start: Callable[[], None]) -> None:
    """Calls `start` once all of them are done; never when one failed: the service fails what waits for it."""
    if not needs:
        start()
        return
    left, lock = len(needs), threading.Lock()

    def one(future: Future[TaskInfo]) -> None:
        nonlocal left
        if future.exception() is not None or future.result().state != types_pb2.DONE:
            return
        with lock:
            left -= 1
            last = left == 0
        if last:
            start()

    for need in needs:
        need._future().add_done_callback(one)


@overload
def task(function: Callable[..., T]) -> TaskFunction[T]: ...
@overload
def task(*, name: str = "") -> Callable[[Callable[..., T]], TaskFunction[T]]: ...
def task(function: Optional[Callable[..., T]] = None, *,
         name: str = "") -> Union[TaskFunction[T], Callable[[Callable[..., T]], TaskFunction[T]]]:
    """Makes a function a task: its calls inside `with sx.job(…):` are tasks that wait for the tasks among
    their arguments.

        @sextant.task
        def faster(before: Run, after: Run) -> bool:
            return sextant.compare(before, after).verdict == "faster"

        with sx.job("which") as job:
            print(faster(job.profile("./old"), job.profile("./new")).result())
    """
    def make(plain: Callable[..., T]) -> TaskFunction[T]:
        return TaskFunction(plain, name or plain.__name__)
    return make(function) if function is not None else make
