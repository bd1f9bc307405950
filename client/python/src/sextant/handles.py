"""Tasks of a job as futures: ask whether they are done, wait for them, await them, read what they left."""

from __future__ import annotations

import pathlib
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Callable, Generator, Generic, Iterator, Mapping, NoReturn, Optional, TypeVar, Union

from sextant.analyses import Analyses
from sextant.errors import NotFound, SextantError, TaskFailed
from sextant.frames import table_frame
from sextant.html import card
from sextant.passes import describe
from sextant.progress import Bar
from sextant.upload import download
from sextant.v1 import types_pb2
from sextant.v1.sextant_pb2 import (CancelJobRequest, ExportFormat, ExportTraceRequest, ExportTraceResponse, GetJobRequest,
                                    GetJobResponse, GetTableRequest, GetTableResponse, ListPassesRequest,
                                    ListPassesResponse)
from sextant.v1.types_pb2 import Artifact, JobInfo, PassInfo, TaskInfo
from sextant.watch import Awaited, is_final, waiting_for

if TYPE_CHECKING:
    import pandas

    from sextant.client import Client
    from sextant.job import Scope

T = TypeVar("T")


class Handle(Generic[T]):
    """One task of a job: a future of `T`. It runs whether or not anybody waits for it."""

    def __init__(self, scope: "Scope", path: str, expected: int = 0) -> None:
        self.scope = scope
        self.path = path
        self._expected = expected   # passes asked for
        self._observed = False      # its failure has been raised to the user

    @property
    def client(self) -> "Client":
        return self.scope.client

    @property
    def job_id(self) -> int:
        return self.scope.job_id

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    def _future(self) -> Future[TaskInfo]:
        return self.scope.watch.task(self.path)

    def _value(self, info: TaskInfo) -> T:
        raise NotImplementedError

    def _raise(self, info: TaskInfo) -> NoReturn:
        raise TaskFailed(info)

    def _take(self, info: TaskInfo) -> T:
        if info.state != types_pb2.DONE:
            self._observed = True
            self._raise(info)
        return self._value(info)

    # ---- as a future -----------------------------------------------------------------------------

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._future().done()

    def result(self, timeout: Optional[float] = None) -> T:
        """Waits until it has ended, with a progress bar. TaskFailed: it did not end well; TookTooLong:
        not within `timeout` seconds (it goes on)."""
        bar = Bar(f"job {self.job_id} {self.path}", "passes", self.client.progress)
        return self._take(self.scope.watch.wait_task(self.path, self._expected, timeout, bar))

    def exception(self, timeout: Optional[float] = None) -> Optional[SextantError]:
        """Why it failed, once it has ended; None: it ended well."""
        try:
            self.result(timeout)
        except TaskFailed as error:
            return error
        return None

    def add_done_callback(self, call: Callable[["Handle[T]"], object]) -> None:
        """Calls `call` with this task when it has ended, from another thread."""
        self._future().add_done_callback(lambda _: call(self))

    def __await__(self) -> Generator[Any, None, T]:
        info = yield from waiting_for(self._future())
        return self._take(info)

    # ---- what is known ---------------------------------------------------------------------------

    def info(self) -> TaskInfo:
        """The task as it is now: state, passes done, failure."""
        future = self._future()
        if future.done() and future.exception() is None:
            return future.result()
        return self.scope.task_info(self.path)

    @property
    def state(self) -> str:
        """"waiting", "ready", "running", "done", "failed" or "cancelled"."""
        return types_pb2.State.Name(self.info().state).lower()

    def cancel(self, reason: str = "") -> None:
        """Cancels it; running programs are killed within a second."""
        self._observed = True
        self.client.channel.call(CancelJobRequest(job_id=self.job_id, task=self.path, reason=reason), JobInfo)

    def passes(self) -> "PassList":
        """Its passes as they are now."""
        return PassList(self.client, [p for p in self._pages()])

    def _pages(self) -> Iterator[PassInfo]:
        after = 0
        while True:
            answer = self.client.channel.call(
                ListPassesRequest(job_id=self.job_id, task=self.path, after_pass_id=after), ListPassesResponse)
            yield from answer.passes
            if not answer.more:
                return
            after = answer.passes[-1].pass_id

    def artifacts(self) -> dict[str, Artifact]:
        """What it left, by name; of its passes too, those as "p12/NAME"."""
        found = {a.name: a for a in self.info().artifacts}
        for one in self.passes():
            found.update({f"p{one.id}/{a.name}": a for a in one.message.result.artifacts})
        return found

    def read(self, name: str) -> bytes:
        """The contents of an artifact: an output, "stdout", "p12/stderr"."""
        found = self.artifacts()
        artifact = found.get(name) or next((a for n, a in found.items() if n.split("/", 1)[-1] == name), None)
        if artifact is None:
            raise NotFound(f"task {self.path} has left no {name!r}", field="name",
                           remedy=f"it has {', '.join(sorted(found)) or 'left nothing'}")
        return download(self.client.channel, artifact.digest)

    def logs(self) -> str:
        """What its programs wrote to standard output and standard error, pass by pass."""
        parts = []
        for name, artifact in self.artifacts().items():
            if artifact.name in ("stdout", "stderr") and artifact.size_bytes:
                text = download(self.client.channel, artifact.digest).decode(errors="replace")
                parts.append(f"--- {name}\n{text}")
        return "\n".join(parts)

    def __repr__(self) -> str:
        future = self.scope.watch.task(self.path)
        state = types_pb2.State.Name(future.result().state).lower() if future.done() and not future.exception() else "running"
        return f"<{type(self).__name__} {self.path} of job {self.job_id}, {state}>"

    def _repr_html_(self) -> str:
        info = self.info()
        state = types_pb2.State.Name(info.state).lower()
        rows = [("state", state), ("kind", info.kind)]
        if info.passes:
            rows.append(("passes", f"{info.passes_done} of {info.passes} done"
                         + (f", {info.passes_cached} from the cache" if info.passes_cached else "")
                         + (f", {info.passes_failed} failed" if info.passes_failed else "")))
        if info.failure.message:
            rows += [("why", info.failure.message), ("remedy", info.failure.remedy)]
        return card(f"{info.path} · job {self.job_id}", rows)


class Task(Handle["Task"]):
    """A task whose result is that it is done: build, verify, rewrite, analyze, a nested job."""

    def _value(self, info: TaskInfo) -> "Task":
        return self


class External(Task):
    """A task whose result is supplied from outside: by `complete`, here or by another client."""

    def complete(self, artifacts: Optional[Mapping[str, Union[str, bytes, "pathlib.PurePath"]]] = None,
                 message: str = "") -> None:
        """It is done, with these results: {name: bytes, text, or the path of a file}."""
        self.scope.complete(self.path, artifacts or {}, message=message)

    def fail(self, message: str) -> None:
        """It failed; what waits for it fails too."""
        self.scope.complete(self.path, {}, failed=True, message=message)


class Run(Handle["Run"], Analyses):
    """A profile task: the same program run several times under different instruments. Its analyses
    (`timeline`, `diagnosis`, `hotspots` …) wait until the passes they read have ended, and raise TaskFailed when
    they failed; with wait=False they read what is there already."""

    def _value(self, info: TaskInfo) -> "Run":
        return self

    def _settle(self, wait: bool, without: frozenset[str] = frozenset()) -> None:
        if not wait:
            return
        if not without:
            self.result()
            return
        bar = Bar(f"job {self.job_id} {self.path}", "passes", self.client.progress)
        self.scope.watch.wait_part(self.path, self._enough(without), self._expected, bar)
        self._settled()

    async def _settle_async(self, without: frozenset[str] = frozenset()) -> None:
        """The same without a thread."""
        if without:
            await Awaited(self.scope.watch.part(self.path, self._enough(without)))
            self._settled()
        else:
            await self

    def _enough(self, without: frozenset[str]) -> Callable[[], bool]:
        """Whether all passes but those of the backends `without` have ended well."""
        def enough() -> bool:
            passes = list(self._pages())
            read = [p for p in passes if p.spec.backend not in without]
            return bool(read) and all(p.state == types_pb2.DONE or (is_final(p.state) and p.spec.optional) for p in read)
        return enough

    def _settled(self) -> None:
        """Raises when the task has failed."""
        future = self._future()
        if future.done():
            self._take(future.result())

    def export(self, path: Union[str, "pathlib.PurePath"], format: str = "chrome", *, table: str = "",
               wait: bool = True) -> pathlib.Path:
        """Writes the trace into a file: "chrome" (Perfetto's UI opens it), "csv", "perfetto", "pprof" or
        "parquet"; csv and parquet also write a `table` of the passes."""
        self._settle(wait)
        name = {"chrome": "CHROME_JSON"}.get(format, format.upper())
        if name not in ExportFormat.keys():
            raise SextantError(f"format: there is no {format!r}", field="format",
                               remedy="chrome, csv, perfetto, pprof or parquet")
        request = ExportTraceRequest(job_id=self.job_id, task=self.path, format=name, table=table)
        target = pathlib.Path(path)
        partial = target.with_name(target.name + ".part")
        try:
            with open(partial, "wb") as file:
                for message in self.client.channel.stream(request, ExportTraceResponse):
                    file.write(message.data)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target


class Pass:
    """One run of the program under one instrument.

    Attributes: message: the PassInfo, with exit report, provenance, counters and artifacts."""

    def __init__(self, client: "Client", message: PassInfo) -> None:
        self._client = client
        self.message = message

    @property
    def id(self) -> int:
        return self.message.pass_id

    @property
    def backend(self) -> str:
        """What measured, with its options; of a replayed pass what recorded it."""
        result = self.message.result
        return describe(result.replayed if result.HasField("replayed") else self.message.spec)

    @property
    def state(self) -> str:
        return types_pb2.State.Name(self.message.state).lower()

    def tables(self) -> list[str]:
        """Names of the tables it left (docs/tables.md)."""
        return list(self._client.channel.call(GetTableRequest(pass_id=self.id), GetTableResponse).tables)

    def table(self, name: str) -> "pandas.DataFrame":
        """A table it left, whole: "launches", "counters", "pc_samples" …"""
        return table_frame(self._client.channel, self.id, name)

    def read(self, name: str) -> bytes:
        """The contents of an artifact: "stdout", an output's name."""
        for artifact in self.message.result.artifacts:
            if artifact.name == name:
                return download(self._client.channel, artifact.digest)
        raise NotFound(f"pass p{self.id} has left no {name!r}", field="name",
                       remedy="it has " + ", ".join(a.name for a in self.message.result.artifacts))

    def __repr__(self) -> str:
        return f"<Pass p{self.id} {self.backend}, {self.state}>"


class PassList(list[Pass]):
    """Passes in order; `to_pandas` has a row for each."""

    def __init__(self, client: "Client", infos: list[PassInfo]) -> None:
        super().__init__(Pass(client, info) for info in infos)

    def to_pandas(self) -> "pandas.DataFrame":
        import pandas

        rows = []
        for one in self:
            m = one.message
            rows.append({"pass": one.id, "task": m.task, "backend": one.backend, "state": one.state,
                         "source": types_pb2.Source.Name(m.source).lower(), "worker": m.worker, "device": m.device,
                         "wall_s": m.result.exit.wall_s, "cpu_s": m.result.exit.cpu_s,
                         "peak_memory_bytes": m.result.exit.peak_memory_bytes, "events": m.result.events,
                         "why": m.result.failure.message})
        return pandas.DataFrame(rows)

    def _repr_html_(self) -> str:
        return str(self.to_pandas()._repr_html_())  # type: ignore[operator]


def job_infos(client: "Client", job_id: int) -> Iterator[TaskInfo]:
    """All tasks of a job, page by page."""
    after = ""
    while True:
        answer = client.channel.call(GetJobRequest(job_id=job_id, with_tasks=True, tasks_after=after), GetJobResponse)
        yield from answer.tasks
        if not answer.more_tasks:
            return
        after = answer.tasks[-1].path


__all__ = ["External", "Handle", "Pass", "PassList", "Run", "Task", "job_infos"]
