"""What goes wrong, as exceptions that name the field and the remedy.

    SextantError
      UsageError          something on this side: a pass that cannot be read, a file that is not there
      ServiceError        the service refused or failed; one class for each status code
        InvalidArgument NotFound AlreadyExists WrongState LimitReached Forbidden TokenRefused NotOffered
        Unreachable InDoubt TookTooLong Cancelled InternalError
      TaskFailed          a task of a job ended as failed or cancelled; the program failing is one cause
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional

import grpc

if TYPE_CHECKING:
    from sextant.v1 import types_pb2

_FIELD = re.compile(r"""^(?P<field>[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*|\[\d+\]|\["[^"]*"\])*)(?: [a-z ]+)?: """)
_LIMIT = re.compile(r"at most (?P<name>[a-z_]+) = ")


class SextantError(Exception):
    """Base of all errors of this package.

    Attributes:
      message: what is wrong, in a sentence.
      field: the field, option or parameter that is wrong, e.g. "graph.tasks[3].name"; "" when none is.
      remedy: what to do about it; "" when the message says it all.
    """

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        self.message = message
        self.field = field
        self.remedy = remedy
        super().__init__(message, field, remedy)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class UsageError(SextantError, ValueError):
    """An argument, or a local file it names, is wrong. Nothing was sent."""


class ServiceError(SextantError):
    """The service answered with an error, or did not answer.

    Attributes:
      method: the RPC, e.g. "SubmitJob".
      code: gRPC's status code.
      limit: name of the limit in `ServiceLimits` that was passed; "" when none was.
    """

    default_remedy = ""

    def __init__(self, message: str, *, field: str = "", remedy: str = "", method: str = "",
                 code: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> None:
        super().__init__(message, field=field, remedy=remedy)
        self.method = method
        self.code = code
        limit = _LIMIT.search(message)
        self.limit = limit.group("name") if limit else ""


class InvalidArgument(ServiceError, ValueError):
    """A field is wrong."""


class NotFound(ServiceError, LookupError):
    """No such job, task, pass or blob."""

    default_remedy = "see what there is: Client.jobs(), Job.tasks()"


class AlreadyExists(ServiceError):
    """The request id was used with another graph."""


class WrongState(ServiceError):
    """The state does not allow it: the job is sealed, the task is not external, there is nothing to analyze."""


class LimitReached(ServiceError):
    """A quota or a limit on sizes; `limit` is its name."""


class Forbidden(ServiceError):
    """The token's scope does not allow it."""

    default_remedy = "ask for a token with the scope: sextant token create"


class TokenRefused(ServiceError):
    """No token, or a wrong, expired or revoked one."""

    default_remedy = "give a token: sextant.connect(token=…) or SEXTANT_TOKEN; sextant token create makes one"


class NotOffered(ServiceError):
    """The service does not know the method."""

    default_remedy = "the service is older than this package; see Client.describe().version"


class Unreachable(ServiceError, ConnectionError):
    """No service answers at the address, or its database cannot be reached. Nothing was done."""


class InDoubt(ServiceError):
    """Whether it was done is not known."""

    default_remedy = "repeating it with the same request_id is safe"


class TookTooLong(ServiceError, TimeoutError):
    """The service did not answer in time."""


class Cancelled(ServiceError):
    """The call was ended from this side."""


class InternalError(ServiceError):
    """A fault of the service; its log says more."""


_CLASSES: dict[grpc.StatusCode, type[ServiceError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: WrongState,
    grpc.StatusCode.ABORTED: WrongState,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitReached,
    grpc.StatusCode.PERMISSION_DENIED: Forbidden,
    grpc.StatusCode.UNAUTHENTICATED: TokenRefused,
    grpc.StatusCode.UNIMPLEMENTED: NotOffered,
    grpc.StatusCode.UNAVAILABLE: Unreachable,
    grpc.StatusCode.UNKNOWN: InDoubt,
    grpc.StatusCode.DEADLINE_EXCEEDED: TookTooLong,
    grpc.StatusCode.CANCELLED: Cancelled,
}


def from_status(code: grpc.StatusCode, details: str, *, method: str, address: str) -> ServiceError:
    """The exception for a status of the service: "FIELD: what is wrong; what to do"."""
    cls = _CLASSES.get(code, InternalError)
    message, remedy = details or f"{method}: the service says {code.name}", cls.default_remedy
    field = _FIELD.match(message)
    if cls is Unreachable:
        message = f"the service at {address} does not answer: {message}"
        remedy = ("start the service of this machine with `sextant up` or sextant.local(), or name another: "
                  "sextant.connect(\"HOST:PORT\") or SEXTANT_SERVER")
    elif "; " in message:  # the service's messages end with the remedy
        head, tail = message.rsplit("; ", 1)
        message, remedy = head, tail
    return cls(message, field=field.group("field") if field else "", remedy=remedy, method=method, code=code)


class TaskFailed(SextantError, RuntimeError):
    """A task of a job ended without success. What its passes left can still be read.

    Attributes:
      task: its path in the job.
      job_id: the job.
      state: "failed" or "cancelled".
      cause: "PROGRAM_FAILED", "TOOL_FAILED", "EMPTY_CAPTURE" …, the name of v1.types_pb2.Cause.
      step: "prepare", "run", "collect" …; where it failed.
    """

    def __init__(self, info: types_pb2.TaskInfo) -> None:
        from sextant.v1 import types_pb2

        self.job_id = info.job_id
        self.task = info.path
        self.state = types_pb2.State.Name(info.state).lower()
        self.cause = types_pb2.Cause.Name(info.failure.cause)
        self.step = info.failure.step
        why = info.failure.message.removeprefix("cancelled: ")
        super().__init__(f"task {info.path} of job {info.job_id} {'was cancelled' if self.state == 'cancelled' else 'failed'}"
                         + (f": {why}" if why else ""), field=info.path, remedy=info.failure.remedy)


def explain(error: Optional[BaseException]) -> str:
    """What an error says, in one line for the service's books."""
    if error is None:
        return ""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    return "".join(c if c.isprintable() else " " for c in text)[:1000]
