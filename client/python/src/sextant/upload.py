"""Sends the blobs the service does not have yet."""

from __future__ import annotations

from typing import Iterator, Mapping

from sextant.bundle import LocalFile
from sextant.channel import ANSWER_TIMEOUT_S, Channel
from sextant.errors import Unreachable, UsageError
from sextant.v1.sextant_pb2 import (FindMissingBlobsRequest, FindMissingBlobsResponse, GetBlobRequest, GetBlobResponse,
                                    UploadBlobsRequest)

_DIGESTS_PER_QUESTION = 1000


def _missing(channel: Channel, digests: list[bytes]) -> Iterator[bytes]:
    for at in range(0, len(digests), _DIGESTS_PER_QUESTION):
        request = FindMissingBlobsRequest(digests=digests[at:at + _DIGESTS_PER_QUESTION])
        yield from channel.call(request, FindMissingBlobsResponse, ANSWER_TIMEOUT_S).missing


def _messages(files: Mapping[bytes, LocalFile], digests: list[bytes], submitter: str) -> Iterator[UploadBlobsRequest]:
    for i, digest in enumerate(digests):
        file = files[digest]
        now, size = file.digest()
        if now != digest:
            raise UsageError(f"file {file.local} changed while it was sent", field="files", remedy="repeat the call")
        head = UploadBlobsRequest(digest=digest, size_bytes=size, submitter=submitter if i == 0 else "")
        sent = 0
        for chunk in file.read_chunks():
            sent += len(chunk)
            head.data = chunk
            head.last = sent >= size
            yield head
            head = UploadBlobsRequest()
        if size == 0:
            head.last = True
            yield head


def upload(channel: Channel, files: Mapping[bytes, LocalFile], submitter: str) -> int:
    """Sends what is missing, by digest; returns how many. Tries once more over a lost connection: sending
    twice is harmless."""
    for attempt in range(2):
        try:
            missing = list(_missing(channel, sorted(files)))
            if missing:
                channel.upload(_messages(files, missing, submitter))
            return len(missing)
        except Unreachable:
            if attempt:
                raise
    raise AssertionError("not reached")


def download(channel: Channel, digest: bytes) -> bytes:
    """The whole blob."""
    stream = channel.stream(GetBlobRequest(digest=digest), GetBlobResponse)
    return b"".join(message.data for message in stream)
