"""The service as the package sees it: one call for every RPC, found by its request's type. Errors are
exceptions of `sextant.errors`. Calls block, and may be made from any thread."""

from __future__ import annotations

import ipaddress
import os
import pathlib
from dataclasses import dataclass
from typing import Any, Callable, Generic, Iterator, Optional, TypeVar, Union, cast

import grpc
from google.protobuf.message import Message

from sextant._version import VERSION
from sextant.errors import ServiceError, UsageError, from_status
from sextant.v1 import sextant_pb2

R = TypeVar("R", bound=Message)
PathLike = Union[str, "pathlib.PurePath"]

#: A unary call is short; a long poll adds its own wait. Beyond this something is wrong.
CALL_TIMEOUT_S = 60.0
#: Answers that read whole traces.
ANSWER_TIMEOUT_S = 600.0
MAX_MESSAGE_BYTES = 256 << 20
_ENCRYPTED = ("https://", "tls://")

_SERVICE = sextant_pb2.DESCRIPTOR.services_by_name["Sextant"]
_METHODS = {method.input_type.full_name: method for method in _SERVICE.methods}


@dataclass(frozen=True)
class Access:
    """How a service is reached: `address` is "host:port", "https://host:port", "unix:///path" or "/path"; the
    rest are a bearer token and PEM files: the authority that signed the service's certificate, and a
    certificate of one's own with its key, for mutual TLS. `tls`, or https, alone trusts the system's
    authorities."""

    address: str
    token: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    tls: bool = False
    insecure: bool = False

    @property
    def target(self) -> str:
        for scheme in _ENCRYPTED:
            if self.address.startswith(scheme):
                return self.address[len(scheme):].rstrip("/")
        return f"unix:{self.address}" if self.address.startswith("/") else self.address

    @property
    def encrypted(self) -> bool:
        if self.target.startswith("unix:"):
            return False
        return bool(self.tls or self.ca or self.cert) or self.address.startswith(_ENCRYPTED)

    @property
    def local(self) -> bool:
        host = self.target.rsplit(":", 1)[0].strip("[]")
        if self.target.startswith("unix:") or host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def check(self) -> None:
        if self.cert and not self.key or self.key and not self.cert:
            raise UsageError("cert and key belong together: a certificate and its private key, PEM files",
                             field="key" if self.cert else "cert")
        if self.token and not (self.encrypted or self.local or self.insecure):
            raise UsageError(f"token: would be sent unencrypted to {self.address}", field="token",
                             remedy=f"give ca=FILE or write the address as https://{self.target}, or insecure=True "
                                    "where the network is trusted")


def _read(path: str, field: str) -> Optional[bytes]:
    if not path:
        return None
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{field}: {path} cannot be read: {error.strerror}", field=field) from None


def token_of_environment() -> str:
    """The token in the file $SEXTANT_TOKEN_FILE, else in $SEXTANT_TOKEN; "" without either."""
    path = os.environ.get("SEXTANT_TOKEN_FILE", "")
    if not path:
        return os.environ.get("SEXTANT_TOKEN", "")
    token = (_read(path, "SEXTANT_TOKEN_FILE") or b"").decode("ascii", "replace").strip()
    if not token or len(token.split()) != 1:
        raise UsageError(f"SEXTANT_TOKEN_FILE: {path} does not hold one token alone", field="SEXTANT_TOKEN_FILE",
                         remedy="write into it what `sextant token create` printed")
    return token


def method_of(request: Message) -> str:
    """"GetJob" of a GetJobRequest."""
    return str(_METHODS[request.DESCRIPTOR.full_name].name)


def request_of(method: str, **fields: Any) -> Message:
    """The request of an RPC by its name, with fields as keywords; NotFound names what there is."""
    from google.protobuf import message_factory

    found = _SERVICE.methods_by_name.get(method)
    if found is None:
        raise UsageError(f"method: the service has no {method!r}", field="method",
                         remedy="it has " + ", ".join(sorted(_SERVICE.methods_by_name)))
    return message_factory.GetMessageClass(found.input_type)(**fields)


def reply_of(method: str) -> type[Message]:
    """The message an RPC answers with."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_SERVICE.methods_by_name[method].output_type)


class Stream(Generic[R]):
    """Messages of a running stream, in order. `cancel` ends it from any thread."""

    def __init__(self, call: Any, translate: Callable[[grpc.RpcError], ServiceError]) -> None:
        self._call = call
        self._translate = translate

    def __iter__(self) -> Iterator[R]:
        try:
            for message in self._call:
                yield message
        except grpc.RpcError as error:
            raise self._translate(error) from None

    def cancel(self) -> None:
        self._call.cancel()


class Channel:
    """One connection. Owns gRPC's channel; made by the client, closed with it."""

    def __init__(self, access: Access) -> None:
        access.check()
        self.access = access
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 10_000),  # how long an attempt may take, TLS and all
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.primary_user_agent", f"sextant-python/{VERSION}"),
        ]
        if access.encrypted:
            credentials = grpc.ssl_channel_credentials(
                _read(access.ca, "ca"), _read(access.key, "key"), _read(access.cert, "cert"))
            self._channel = grpc.secure_channel(access.target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(access.target, options)
        self._metadata = (("authorization", f"Bearer {access.token}"),) if access.token else ()

    def close(self) -> None:
        self._channel.close()

    def _error(self, method: str) -> Callable[[grpc.RpcError], ServiceError]:
        def translate(error: grpc.RpcError) -> ServiceError:
            call = cast(grpc.Call, error)
            return from_status(call.code(), call.details() or "", method=method, address=self.access.address)
        return translate

    def call(self, request: Message, reply: type[R], timeout_s: float = CALL_TIMEOUT_S) -> R:
        """The answer to a request; its RPC is the one that takes such a request."""
        method = method_of(request)
        call = self._channel.unary_unary(f"/{_SERVICE.full_name}/{method}",
                                         request_serializer=type(request).SerializeToString,
                                         response_deserializer=reply.FromString)
        try:
            return cast(R, call(request, timeout=timeout_s, metadata=self._metadata))
        except grpc.RpcError as error:
            raise self._error(method)(error) from None

    def stream(self, request: Message, reply: type[R]) -> Stream[R]:
        """The messages a streaming RPC answers with."""
        method = method_of(request)
        call = self._channel.unary_stream(f"/{_SERVICE.full_name}/{method}",
                                          request_serializer=type(request).SerializeToString,
                                          response_deserializer=reply.FromString)
        return Stream(call(request, metadata=self._metadata), self._error(method))

    def upload(self, requests: Iterator[sextant_pb2.UploadBlobsRequest]) -> sextant_pb2.UploadBlobsResponse:
        """One UploadBlobs stream. An exception of `requests` ends the call with it."""
        call = self._channel.stream_unary(f"/{_SERVICE.full_name}/UploadBlobs",
                                          request_serializer=sextant_pb2.UploadBlobsRequest.SerializeToString,
                                          response_deserializer=sextant_pb2.UploadBlobsResponse.FromString)
        failed: list[BaseException] = []

        def guarded() -> Iterator[sextant_pb2.UploadBlobsRequest]:
            try:
                yield from requests
            except BaseException as error:  # given to the caller below; gRPC would only log it
                failed.append(error)
                raise

        try:
            return cast(sextant_pb2.UploadBlobsResponse, call(guarded(), metadata=self._metadata))
        except grpc.RpcError as error:
            if failed:
                raise failed[0] from None
            raise self._error("UploadBlobs")(error) from None
