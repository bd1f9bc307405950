"""Jobs and nested jobs: open graphs to which tasks are added while they run."""

from __future__ import annotations

import contextvars
import os
import pathlib
import re
import threading
import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generator, Iterable, Iterator, Mapping, Optional, Sequence, TypeVar, Union

from sextant.bundle import Bundle, Files, LocalFile
from sextant.channel import CALL_TIMEOUT_S
from sextant.errors import NotFound, SextantError, TaskFailed, UsageError, WrongState, explain
from sextant.handles import External, Handle, PassList, Run, Task, job_infos
from sextant.html import card
from sextant.passes import PassLike
from sextant.progress import Bar
from sextant.upload import upload
from sextant.v1 import types_pb2
from sextant.v1.sextant_pb2 import (AddTasksRequest, AddTasksResponse, CancelJobRequest, CompleteTaskRequest,
                                    ExplainJobRequest, ExplainJobResponse, GetJobRequest, GetJobResponse,
                                    ListPassesRequest, ListPassesResponse, SealJobRequest, WatchJobRequest)
from sextant.v1.types_pb2 import (AnalyzeTask, Artifact, BuildTask, Event, ExternalTask, GroupTask, Input, JobInfo, Output,
                                  PassInfo, RewriteTask, TaskInfo, TaskSpec, VerifyTask)
from sextant.watch import Watch, waiting_for
from sextant.workload import Command, Workload, pack_profile

if TYPE_CHECKING:
    import pandas

    from sextant.client import Client

H = TypeVar("H", bound=Handle[Any])
S = TypeVar("S", bound="Scope")

#: A task to wait for: a handle of this job, or its path.
Dependency = Union[Handle[Any], str]
#: Files of other tasks: {path there: (task, name of its artifact)}, or (task, artifact) pairs.
Inputs = Union[Mapping[str, tuple[Dependency, str]], Sequence[tuple[Dependency, str]]]
#: Files a task leaves: {name: path}, or paths that are their own names.
Outputs = Union[Mapping[str, str], Sequence[str]]

_current: contextvars.ContextVar[Optional["Scope"]] = contextvars.ContextVar("sextant_job", default=None)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.:@+-]+")


def current() -> Optional["Scope"]:
    """The innermost job whose `with` block this is."""
    return _current.get()


def new_request_id() -> str:
    return f"py-{uuid.uuid4().hex}"


def _path_of(dependency: Dependency) -> str:
    return dependency if isinstance(dependency, str) else dependency.path


class Scope:
    """What tasks are added to: a job, or a job nested in it. Every task starts as soon as it can; nothing
    waits for the end of the `with` block, which only says that no more tasks come.

    Leaving the block seals it. Leaving a job's block also waits for its tasks, and raises the first failure
    that nobody has seen; leaving it by an exception cancels what is not done."""

    def __init__(self, client: "Client", job_id: int, path: str, watch: Watch) -> None:
        self._client = client
        self._job_id = job_id
        self.path = path
        self.watch = watch
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._sealed = False
        self._handles: list[Handle[Any]] = []   # of nested jobs too
        self._tokens: list[contextvars.Token[Optional[Scope]]] = []

    @property
    def client(self) -> "Client":
        return self._client

    @property
    def job_id(self) -> int:
        return self._job_id

    # ---- tasks -----------------------------------------------------------------------------------

    def profile(self, command: Union[Command, Workload], passes: Union[PassLike, Iterable[PassLike]] = "host*20", *,
                kernels: str = "", name: str = "", files: Files = None, env: Optional[Mapping[str, Optional[str]]] = None,
                gpu: bool = False, directory: Union[str, "pathlib.PurePath", None] = None, clean: bool = True,
                warm: bool = True, inputs: Inputs = (), outputs: Outputs = (), after: Sequence[Dependency] = (),
                priority: int = 0, deadline_s: float = 0) -> Run:
        """Runs a program several times, each pass under one instrument: `passes=["proton*20", "counters:ipc"]`.

        command: a command line ("python matmul.py --size 1024") or a Workload. Files it names are sent.
        kernels: regular expression of the kernels that matter. files, env, gpu, directory: see Workload.
        clean: beside passes that disturb kernels add clean ones, which give the time.
        warm: passes of Python programs may fork from one process that has imported its frameworks.
        inputs: files of other tasks. outputs: files to keep. after: tasks to wait for."""
        work = command if isinstance(command, Workload) else Workload(command, directory=directory)
        changes: dict[str, object] = {}
        if kernels:
            changes["kernels"] = kernels
        if gpu:
            changes["gpu"] = True
        if env:
            changes["env"] = {**work.env, **env}
        if files is not None:
            changes["files"] = _pairs(work.files) + _pairs(files)
        profile, sent, notes, default = pack_profile(work.replace(**changes), passes, clean=clean, warm=warm,
                                                    placed=_placed(inputs))
        spec = TaskSpec(profile=profile)
        expected = sum(max(1, p.repeat) for p in profile.passes if not p.optional)
        path = self._add(spec, name or default or "profile", sent, notes, inputs, outputs, after, priority, deadline_s)
        return self._keep(Run(self, path, expected))

    def build(self, command: Union[Command, Workload], *, outputs: Outputs, name: str = "", inputs: Inputs = (),
              after: Sequence[Dependency] = ()) -> Task:
        """Runs a program once for the files it leaves."""
        return self._program("build", command, name, inputs, outputs, after)

    def rewrite(self, command: Union[Command, Workload], *, outputs: Outputs, name: str = "", inputs: Inputs = (),
                after: Sequence[Dependency] = ()) -> Task:
        """Runs a program that turns artifacts into others."""
        return self._program("rewrite", command, name, inputs, outputs, after)

    def verify(self, command: Union[Command, Workload], *, name: str = "", inputs: Inputs = (),
               after: Sequence[Dependency] = ()) -> Task:
        """Runs a program whose exit code says whether all is well; what waits for it fails otherwise."""
        return self._program("verify", command, name, inputs, (), after)

    def analyze(self, what: Union[str, Workload], of: Optional[Dependency] = None, *, name: str = "",
                inputs: Inputs = (), outputs: Outputs = (), after: Sequence[Dependency] = ()) -> Task:
        """An analysis of the service ("timeline", "report", "diagnosis" …) of a profile task, or a program."""
        if isinstance(what, Workload):
            return self._program("analyze", what, name, inputs, outputs, after)
        if of is None:
            raise UsageError(f"of: whose {what}?", field="of", remedy="name the profile task")
        spec = TaskSpec(analyze=AnalyzeTask(builtin=what, of_task=_path_of(of)))
        return self._keep(Task(self, self._add(spec, name or what, {}, [], inputs, outputs, after)))

    def external(self, instructions: str = "", *, name: str = "external", after: Sequence[Dependency] = ()) -> External:
        """A task that somebody else does: a person, an agent, or this program by `complete`."""
        spec = TaskSpec(external=ExternalTask(instructions=instructions))
        return self._keep(External(self, self._add(spec, name, {}, [], (), (), after)))

    def job(self, name: str, *, after: Sequence[Dependency] = ()) -> "Group":
        """A nested job: its tasks wait for what it waits for, and it ends with them."""
        path = self._add(TaskSpec(group=GroupTask(open=True)), name, {}, [], (), (), after)
        return Group(self, path)

    def _program(self, kind: str, command: Union[Command, Workload], name: str, inputs: Inputs, outputs: Outputs,
                 after: Sequence[Dependency]) -> Task:
        work = command if isinstance(command, Workload) else Workload(command)
        bundle = work.bundle()
        bundle.placed.update(_placed(inputs))
        packed = work.pack(bundle)
        message = {"build": BuildTask, "rewrite": RewriteTask, "verify": VerifyTask, "analyze": AnalyzeTask}[kind](
            workload=packed.message)
        spec = TaskSpec(**{kind: message})
        path = self._add(spec, name or f"{kind}-{work.default_name()}", packed.files, packed.notes, inputs, outputs, after)
        return self._keep(Task(self, path))

    def _keep(self, handle: H) -> H:
        self._handles.append(handle)
        return handle

    def _add(self, spec: TaskSpec, name: str, files: Mapping[bytes, LocalFile], notes: Sequence[str], inputs: Inputs,
             outputs: Outputs, after: Sequence[Dependency], priority: int = 0, deadline_s: float = 0) -> str:
        """Adds a task; returns its path. It may start at once."""
        spec.parent = self.path
        spec.priority, spec.deadline_s = priority, deadline_s
        spec.after.extend(_path_of(a) for a in after)
        pairs = inputs.items() if isinstance(inputs, Mapping) else ((a, (t, a)) for t, a in inputs)
        spec.inputs.extend(Input(task=_path_of(task), artifact=artifact, path=path) for path, (task, artifact) in pairs)
        named = outputs.items() if isinstance(outputs, Mapping) else ((o, o) for o in outputs)
        spec.outputs.extend(Output(name=_clean(n), path=p) for n, p in named)
        with self._lock:
            spec.name = self._free_name(_clean(name))
        for note in notes:
            self.client.note(note)
        upload(self.client.channel, files, self.client.submitter)
        try:
            self.client.repeat(AddTasksRequest(job_id=self.job_id, request_id=new_request_id(), tasks=[spec]),
                               AddTasksResponse)
        except WrongState:
            sources = (t for t, _ in (inputs.values() if isinstance(inputs, Mapping) else inputs))
            for dependency in (*after, *sources):  # a task cannot wait for one that has failed: that one says why
                if isinstance(dependency, Handle) and dependency.done():
                    dependency.result()
            raise
        return f"{self.path}/{spec.name}" if self.path else spec.name

    def _free_name(self, name: str) -> str:
        chosen, n = name, 1
        while chosen in self._names:
            n += 1
            chosen = f"{name}-{n}"
        self._names.add(chosen)
        return chosen

    # ---- state -----------------------------------------------------------------------------------

    def task_info(self, path: str) -> TaskInfo:
        """One task as it is now."""
        for info in job_infos(self.client, self.job_id):
            if info.path == path:
                return info
        raise NotFound(f"job {self.job_id} has no task {path}", field="task")

    def complete(self, path: str, artifacts: Mapping[str, Union[str, bytes, pathlib.PurePath]], *, failed: bool = False,
                 message: str = "") -> None:
        """Supplies the result of an external task: {name: text, bytes, or the path of a file}."""
        files: dict[bytes, LocalFile] = {}
        request = CompleteTaskRequest(job_id=self.job_id, task=path, failed=failed, message=message)
        for name, value in artifacts.items():
            if isinstance(value, pathlib.PurePath):
                file = LocalFile(local=str(Bundle().local(value)))
            else:
                file = LocalFile(contents=value.encode() if isinstance(value, str) else value)
            digest, size = file.digest()
            files[digest] = file
            request.artifacts.append(Artifact(name=name, kind="output", digest=digest, size_bytes=size))
        upload(self.client.channel, files, self.client.submitter)
        self.client.repeat(request, TaskInfo)

    def seal(self) -> None:
        """No more tasks come: it ends when its tasks have. Sealing again does nothing."""
        with self._lock:
            if self._sealed:
                return
            self._sealed = True
        self.client.repeat(SealJobRequest(job_id=self.job_id, group=self.path), JobInfo)

    def cancel(self, reason: str = "") -> None:
        """Cancels what is not done; running programs are killed within a second."""
        self.client.channel.call(CancelJobRequest(job_id=self.job_id, task=self.path, reason=reason[:200]), JobInfo)

    # ---- as a block ------------------------------------------------------------------------------

    def __enter__(self: S) -> S:
        self._tokens.append(_current.set(self))
        return self

    def _leave(self) -> None:
        if self._tokens:
            _current.reset(self._tokens.pop())

    def _abandon(self, error: BaseException) -> None:
        try:
            self.cancel(f"left by {explain(error)}")
            self.seal()
        except SextantError:
            pass  # the error on its way says more

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self._leave()
        if error is not None:
            self._abandon(error)
        else:
            self.seal()


class Group(Scope, Task):
    """A nested job. As a task it is done when its tasks are."""

    def __init__(self, outer: Scope, path: str) -> None:
        Scope.__init__(self, outer.client, outer.job_id, path, outer.watch)
        self._handles = outer._handles
        self.scope = outer
        self._expected = 0
        self._observed = False

    def cancel(self, reason: str = "") -> None:
        Scope.cancel(self, reason)


class Job(Scope):
    """A job. Use it as a block, or call `seal` when no more tasks come.

        with sx.job("matmul") as job:
            run = job.profile("python matmul.py", passes=["proton*20"])
            print(run.report().tldr)
    """

    def __init__(self, client: "Client", job_id: int, *, sealed: bool = False, existing: bool = False) -> None:
        super().__init__(client, job_id, "", Watch(client.channel, job_id))
        self._sealed = sealed
        self.existing = existing   # the request id was seen before

    @property
    def id(self) -> int:
        return self.job_id

    def info(self) -> JobInfo:
        """The job as it is now."""
        return self.client.channel.call(GetJobRequest(job_id=self.job_id), GetJobResponse).job

    @property
    def state(self) -> str:
        """"waiting", "ready", "running", "done", "failed" or "cancelled"."""
        return types_pb2.State.Name(self.info().state).lower()

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.watch.job().done()

    def wait(self, timeout: Optional[float] = None) -> "Job":
        """Waits until it has ended, with a progress bar; TaskFailed: the first of its tasks that failed.
        An open job ends only after `seal`."""
        info = self.watch.wait_job(timeout, Bar(f"job {self.job_id}", "passes", self.client.progress))
        return self._take(info)

    def _take(self, info: JobInfo, *, unseen: bool = False) -> "Job":
        if info.state == types_pb2.DONE:
            return self
        handles = {handle.path: handle for handle in self._handles}
        seen = False
        for task in job_infos(self.client, self.job_id):
            if task.state not in (types_pb2.FAILED, types_pb2.CANCELLED) or task.failure.cause == types_pb2.INPUT_FAILED:
                continue  # well, or another one's failure
            handle = handles.get(task.path)
            if handle is None:
                if task.kind != "job":  # a nested job fails with its tasks
                    raise TaskFailed(task)
            elif unseen and handle._observed:
                seen = True
            else:
                handle._observed = True
                handle._raise(task)
        if seen:
            return self
        raise SextantError(f"job {self.job_id} is {types_pb2.State.Name(info.state).lower()}: {info.failure.message}",
                           remedy=info.failure.remedy)

    def __await__(self) -> Generator[Any, None, "Job"]:
        info = yield from waiting_for(self.watch.job())
        return self._take(info)

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        super().__exit__(kind, error, trace)
        if error is None:
            bar = Bar(f"job {self.job_id}", "passes", self.client.progress)
            self._take(self.watch.wait_job(None, bar), unseen=True)

    def tasks(self) -> list[TaskInfo]:
        """All its tasks as they are now, nested ones too."""
        return list(job_infos(self.client, self.job_id))

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each task."""
        from sextant import frames

        return frames.frame(self.tasks(), TaskInfo.DESCRIPTOR, skip=("spec",))

    def task(self, path: str) -> Union[Run, External, Task]:
        """A task by its path, as a handle."""
        info = self.task_info(path)
        if info.kind == "profile":
            return Run(self, path, info.passes)
        return External(self, path) if info.kind == "external" else Task(self, path)

    def runs(self) -> list[Run]:
        """Its profile tasks, nested ones too."""
        return [Run(self, info.path, info.passes) for info in self.tasks() if info.kind == "profile"]

    def run(self, path: str = "") -> Run:
        """A profile task by its path; "": the only one."""
        found = [r for r in self.runs() if not path or r.path == path]
        if len(found) != 1:
            raise NotFound(f"job {self.job_id} has {len(found)} profile tasks" + (f" {path}" if path else ""),
                           field="path", remedy="name one of " + ", ".join(r.path for r in self.runs()))
        return found[0]

    def passes(self) -> PassList:
        """The passes of all its tasks as they are now."""
        found: list[PassInfo] = []
        while True:
            answer = self.client.channel.call(ListPassesRequest(
                job_id=self.job_id, after_pass_id=found[-1].pass_id if found else 0), ListPassesResponse)
            found.extend(answer.passes)
            if not answer.more:
                return PassList(self.client, found)

    def events(self, after_seq: int = 0) -> Iterator[Event]:
        """What happens to it, in order, live until it ends: accepted, queued, started, percent, finished …
        `after_seq`: the last event seen; none is missed. Unreachable: the connection was lost; go on from there."""
        yield from self.client.channel.stream(WatchJobRequest(job_id=self.job_id, after_seq=after_seq), Event)

    def explain(self) -> ExplainJobResponse:
        """Why it waits; which cache key was hit or missed, and which component differed."""
        return self.client.channel.call(ExplainJobRequest(job_id=self.job_id), ExplainJobResponse, CALL_TIMEOUT_S)

    def close(self) -> None:
        """Stops following it. The job goes on."""
        self.watch.close()

    def __repr__(self) -> str:
        return f"<Job {self.job_id}>"

    def _repr_html_(self) -> str:
        info = self.info()
        rows = [("state", types_pb2.State.Name(info.state).lower() + (", open" if info.open else "")),
                ("tasks", f"{info.tasks_done} of {info.tasks} done"),
                ("passes", f"{info.passes_done} of {info.passes} done, {info.passes_cached} from the cache"),
                ("why", info.failure.message), ("remedy", info.failure.remedy)]
        return card(f"job {self.job_id} {info.name}", rows)


def _clean(name: str) -> str:
    """A name the service accepts."""
    return _NOT_IN_NAMES.sub("-", name).strip("-")[:100] or "task"


def _placed(inputs: Inputs) -> list[str]:
    """Where inputs will be in the working directory."""
    return [os.path.normpath(path) for path in (inputs if isinstance(inputs, Mapping) else (a for _, a in inputs))]


def _pairs(files: Files) -> list[Any]:
    if files is None:
        return []
    if isinstance(files, Mapping):
        return list(files.items())
    return [files] if isinstance(files, (str, os.PathLike)) else list(files)
