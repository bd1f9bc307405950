"""The client: one connection to a service."""

from __future__ import annotations

import getpass
import os
import pathlib
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Optional, Sequence, TypeVar, Union

from google.protobuf.message import Message

from sextant import home
from sextant.answers import Comparison
from sextant.channel import ANSWER_TIMEOUT_S, CALL_TIMEOUT_S, Access, Channel, reply_of, request_of, token_of_environment
from sextant.errors import InDoubt, NotFound, Unreachable, UsageError
from sextant.frames import cells_frame, frame
from sextant.handles import Handle, Pass, Run
from sextant.html import card, frame as frame_html
from sextant.job import Job, new_request_id
from sextant.passes import PassLike
from sextant.upload import upload
from sextant.v1 import types_pb2
from sextant.v1.sextant_pb2 import (CompareJobsRequest, Comparison as ComparisonMessage, DescribeServiceRequest,
                                    GetJobRequest, GetJobResponse, ListJobsRequest, ListJobsResponse, ListPassesRequest,
                                    ListPassesResponse, PlanJobRequest, PlanJobResponse, QueryRequest, QueryResponse,
                                    ServiceDescription, SubmitJobRequest, SubmitJobResponse)
from sextant.v1.types_pb2 import JobGraph, JobInfo, TaskSpec
from sextant.workload import Command, Workload, pack_profile, replayed_name

if TYPE_CHECKING:
    import pandas

R = TypeVar("R", bound=Message)

#: A job: its handle, its id, or one of its profile tasks.
JobLike = Union[Job, Run, int]
_REPEATS = 4


class Plan:
    """What a job would run now: passes, expected cost and perturbation."""

    def __init__(self, message: PlanJobResponse) -> None:
        self.message = message

    @property
    def notes(self) -> list[str]:
        """What was left out, and why."""
        return list(self.message.notes)

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each kind of pass: cost_s is that of the device (or CPU slot) for those that run."""
        return frame(self.message.passes, self.message.DESCRIPTOR.fields_by_name["passes"].message_type)

    def __repr__(self) -> str:
        return f"<Plan {len(self.message.passes)} kinds of passes, {self.message.device_s:.3g} s of a device>"

    def _repr_html_(self) -> str:
        return card("plan", [("device_s", f"{self.message.device_s:.3g}")]) + frame_html(self.to_pandas())


class Client:
    """One connection to a service; from `sextant.connect` or `sextant.local`. May be used from several
    threads. As a block it closes at the end: open jobs it made are sealed, and go on.

    Attributes:
      channel: calls with messages: `channel.call(request, Reply)`.
      submitter: shares of the service are fair between submitters; $SEXTANT_SUBMITTER, else the user's name.
      progress: whether waiting draws a bar (in a terminal or a notebook).
    """

    def __init__(self, access: Access, *, submitter: str = "", progress: bool = True,
                 on_close: Optional[Callable[[], None]] = None) -> None:
        self.channel = Channel(access)
        self.submitter = submitter or os.environ.get("SEXTANT_SUBMITTER") or getpass.getuser()
        self.progress = progress
        self._on_close = on_close
        self._jobs: list[Job] = []
        self._closed = False

    @property
    def address(self) -> str:
        return self.channel.access.address

    # ---- jobs ------------------------------------------------------------------------------------

    def job(self, name: str = "job", *, priority: int = 0, deadline_s: float = 0, fresh: bool = False, salt: str = "",
            keep: bool = False, labels: Optional[Mapping[str, str]] = None, request_id: str = "") -> Job:
        """An open job: tasks are added to it and start at once.

        priority: −100 … 100, higher first. deadline_s: seconds from now after which it fails; 0: none.
        fresh: do not answer from the cache. salt: a name for "measure this separately".
        keep: workers keep the directories of passes for `sextant shell`.
        request_id: submitting again with the same id is the same job."""
        graph = JobGraph(name=name, open=True, priority=priority, deadline_s=deadline_s, fresh=fresh, salt=salt,
                         keep=keep, labels=labels or {})
        return self.submit(graph, request_id=request_id)

    def submit(self, graph: JobGraph, *, request_id: str = "") -> Job:
        """Submits a graph as a message; its blobs must have been uploaded."""
        answer = self.repeat(SubmitJobRequest(request_id=request_id or new_request_id(), graph=graph,
                                              submitter=self.submitter), SubmitJobResponse)
        return self._take(Job(self, answer.job_id, sealed=not graph.open, existing=answer.existing))

    def profile(self, command: Union[Command, Workload], passes: Union[PassLike, Iterable[PassLike]] = "host*20", *,
                name: str = "", **options: Any) -> Run:
        """A job of one profile task. `options` are those of `Job.profile`, and of `job`: fresh, salt, labels."""
        of_job = {key: options.pop(key) for key in ("priority", "deadline_s", "fresh", "salt", "keep", "labels",
                                                    "request_id") if key in options}
        work = command if isinstance(command, Workload) else Workload(command, directory=options.pop("directory", None))
        job = self.job(name or work.default_name() or replayed_name(work, passes) or "profile", **of_job)
        try:
            return job.profile(work, passes, **options)
        finally:
            job.seal()

    def plan(self, command: Union[Command, Workload], passes: Union[PassLike, Iterable[PassLike]] = "host*20") -> Plan:
        """What `profile` would run now: passes, expected cost and perturbation. Nothing is sent or stored."""
        work = command if isinstance(command, Workload) else Workload(command)
        profile, _, _, name = pack_profile(work, passes)
        graph = JobGraph(name=name, tasks=[TaskSpec(name="profile", profile=profile)])
        return Plan(self.channel.call(PlanJobRequest(graph=graph), PlanJobResponse))

    def get_job(self, job_id: int) -> Job:
        """A job that was submitted before, by anybody. NotFound: there is none."""
        self.channel.call(GetJobRequest(job_id=job_id), GetJobResponse)
        return self._take(Job(self, job_id, sealed=True, existing=True))

    def _take(self, job: Job) -> Job:
        self._jobs.append(job)
        return job

    def jobs(self, limit: int = 50, *, submitter: str = "", states: Sequence[str] = (),
             labels: Optional[Mapping[str, str]] = None) -> "pandas.DataFrame":
        """The newest jobs, a row each; `states` such as ["running", "failed"]."""
        wanted: list[str] = []
        for state in states:
            if state.upper() not in types_pb2.State.keys():
                raise UsageError(f"states: there is no {state!r}", field="states",
                                 remedy="waiting, ready, running, done, failed or cancelled")
            wanted.append(state.upper())
        found: list[JobInfo] = []
        while len(found) < limit:
            answer = self.channel.call(ListJobsRequest(
                page_size=min(limit - len(found), 500), before_job_id=found[-1].job_id if found else 0,
                submitter=submitter, states=wanted, labels=labels or {}), ListJobsResponse)
            found.extend(answer.jobs)
            if not answer.more or not answer.jobs:
                break
        return frame(found, JobInfo.DESCRIPTOR)

    def get_pass(self, pass_id: int) -> Pass:
        """A pass by its number, the 12 of p12."""
        answer = self.channel.call(ListPassesRequest(pass_id=pass_id), ListPassesResponse)
        if not answer.passes:
            raise NotFound(f"there is no pass p{pass_id}", field="pass_id")
        return Pass(self, answer.passes[0])

    # ---- answers ---------------------------------------------------------------------------------

    def compare(self, before: JobLike, after: JobLike, *, gate: float = 0, backend: str = "",
                across_machines: bool = False, wait: bool = True, **fields: Any) -> Comparison:
        """Whether `after` is faster or slower than `before`, row by row (docs/compare.md).

        gate: fraction below which a change does not count; 0: 0.01. across_machines: judge although machine
        classes differ. wait: until both have ended."""
        ids, tasks = [], []
        for one in (before, after):
            if wait and isinstance(one, Handle):
                one.result()
            elif wait and isinstance(one, Job):
                one.wait()
            ids.append(one if isinstance(one, int) else one.job_id)
            tasks.append(one.path if isinstance(one, Handle) else "")
        request = CompareJobsRequest(job_a=ids[0], job_b=ids[1], task_a=tasks[0], task_b=tasks[1], gate=gate,
                                     backend=backend, across_machines=across_machines, **fields)
        return Comparison(self.channel.call(request, ComparisonMessage, ANSWER_TIMEOUT_S))

    def query(self, sql: str, *, max_rows: int = 0, timeout_s: float = 0) -> "pandas.DataFrame":
        """Read-only SQL over documented views (docs/query.md). `.attrs["truncated_by"]`: which limit cut the
        rows short; "" when none did."""
        answer = self.channel.call(QueryRequest(sql=sql, max_rows=max_rows, timeout_s=timeout_s), QueryResponse,
                                   ANSWER_TIMEOUT_S)
        table = cells_frame(answer.columns, answer.rows)
        table.attrs["truncated_by"] = answer.truncated_by
        return table

    def describe(self) -> ServiceDescription:
        """Version, limits, workers with what they can do, addresses."""
        return self.channel.call(DescribeServiceRequest(), ServiceDescription)

    def call(self, method: str, **fields: Any) -> Message:
        """Any RPC that answers once, by its name: `sx.call("CreateToken", tenant="a", scopes=["READ"])`."""
        return self.channel.call(request_of(method, **fields), reply_of(method), ANSWER_TIMEOUT_S)

    # ---- for the rest of the package -------------------------------------------------------------

    def repeat(self, request: Message, reply: type[R]) -> R:
        """A call that may be repeated when its commit is in doubt or the service is away for a moment: its
        request id, or its content, makes that harmless."""
        for attempt in range(_REPEATS):
            try:
                return self.channel.call(request, reply, CALL_TIMEOUT_S)
            except (InDoubt, Unreachable):
                if attempt + 1 == _REPEATS:
                    raise
                time.sleep(0.1 * 2**attempt)
        raise AssertionError("not reached")

    def send(self, work: Workload) -> types_pb2.Workload:
        """Uploads a workload's files; returns the message for graphs made by hand."""
        packed = work.pack()
        upload(self.channel, packed.files, self.submitter)
        return packed.message

    def note(self, text: str) -> None:
        """Says what was not sent."""
        print(f"sextant: {text}", file=sys.stderr)

    # ---- life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Seals the open jobs made here (they go on), and ends the connection."""
        if self._closed:
            return
        self._closed = True
        try:
            for job in self._jobs:
                if not job._sealed:
                    job.seal()
        finally:
            for job in self._jobs:
                job.close()
            self.channel.close()
            if self._on_close is not None:
                self._on_close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except Exception:
            pass  # the error on its way says more

    def __repr__(self) -> str:
        return f"<Client of {self.address}>"

    def _repr_html_(self) -> str:
        try:
            told = self.describe()
        except Unreachable as error:
            return card("Sextant", [("address", self.address), ("error", error)])
        live = [w.info.name for w in told.workers if w.live]
        return card("Sextant", [("address", self.address), ("version", told.version), ("database", told.database),
                                ("workers", ", ".join(live)), ("running", f"{told.running_passes} passes"),
                                ("ready", f"{told.ready_passes} passes")])


def connect(address: str = "", *, token: str = "", ca: str = "", cert: str = "", key: str = "", tls: bool = False,
            insecure: bool = False, submitter: str = "", progress: bool = True, wait_s: float = 5) -> Client:
    """Connects to a service.

    address: "host:port", "https://host:port", "unix:///path" or "/path"; "": $SEXTANT_SERVER, else the service
      of this machine that `sextant up` started.
    token: sent as a bearer token; "": what the file $SEXTANT_TOKEN_FILE holds, else $SEXTANT_TOKEN.
    ca, cert, key: PEM files: who signed the service's certificate; a certificate of one's own and its key.
      "": $SEXTANT_CA, $SEXTANT_CERT, $SEXTANT_KEY. tls: encrypt, trusting the system's authorities.
    insecure: send the token unencrypted, in so many words.
    wait_s: how long the service is waited for.
    Unreachable: none answers. TokenRefused: it wants a token, or another one."""
    said = os.environ.get
    access = Access(address=address or home.default_address(), token=token or token_of_environment(),
                    ca=ca or said("SEXTANT_CA", ""), cert=cert or said("SEXTANT_CERT", ""),
                    key=key or said("SEXTANT_KEY", ""), tls=tls, insecure=insecure)
    client = Client(access, submitter=submitter, progress=progress)
    end = time.monotonic() + wait_s
    while True:
        try:
            client.describe()
            return client
        except Unreachable:
            if time.monotonic() >= end:
                client.close()
                raise
            time.sleep(0.05)
        except BaseException:
            client.close()
            raise


def local(directory: Union[str, "os.PathLike[str]", None] = None, *, program: Optional[str] = None, stop: bool = False,
          worker: Sequence[str] = (), submitter: str = "", progress: bool = True) -> Client:
    """Connects to the embedded default, the service of this machine, and starts it when it does not run: a
    private PostgreSQL, the coordinator and a worker.

    directory: where it keeps everything; default: $SEXTANT_HOME, as `sextant up`.
    program: the `sextant` command; default: $SEXTANT_PROGRAM, or from PATH.
    stop: stop it on close when this call started it; its data stays.
    worker: arguments of sextant-worker. By default `python` inside passes is this interpreter's environment."""
    folder = pathlib.Path(directory).absolute() if directory is not None else home.home_directory()
    command = home.find_program(program)
    started = home.start(folder, command, list(worker) or home.python_environment())
    on_close = (lambda: home.stop(folder, command)) if stop and started else None
    return Client(Access(address=home.socket_address(folder)), submitter=submitter, progress=progress, on_close=on_close)


def compare(before: Union[Job, Run], after: Union[Job, Run], **options: Any) -> Comparison:
    """`Client.compare` of the service that `after` ran on."""
    return after.client.compare(before, after, **options)
