"""A device's HTTP: retried with capped, jittered back-off; bounded; nothing that cannot be trusted is used."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator

import httpx
import pytest

from muster.device.errors import Expired, Missing, Refused, Unreachable, Untrusted
from muster.device.transport import ATTEMPTS, LONGEST_WAIT_SECONDS, REPLY_LIMIT_BYTES, Transport
from muster.wire.messages import Checkpoint, Health, UploadGrant
from muster.wire.problems import MEDIA_TYPE, Problem

DATA = b"tensors" * 100
CHECKPOINT = Checkpoint(version=3, sha256=hashlib.sha256(DATA).hexdigest(), bytes=len(DATA), url="http://s3.test/key?secret")
GRANT = UploadGrant(url="http://s3.test/key?secret", headers={"If-None-Match": "*"}, expires_at="2026-01-01T00:00:00Z")
HEALTHY = httpx.Response(200, json={"status": "ok", "release": "1"})


def transport(*answers: httpx.Response | Exception, waits: list[float] | None = None) -> tuple[Transport, list[httpx.Request]]:
    """A transport whose server gives these answers, one after the other."""
    left, seen = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    sleep: Callable[[float], None] = (waits if waits is not None else []).append
    return Transport("http://api.test", http=httpx.Client(transport=httpx.MockTransport(answer)), sleep=sleep), seen


PASSING = [httpx.Response(500), httpx.Response(503), httpx.Response(429), httpx.ConnectError("no"), httpx.ReadTimeout("slow")]


@pytest.mark.parametrize("failure", PASSING)
def test_what_may_pass_is_tried_again(failure: httpx.Response | Exception) -> None:
    waits: list[float] = []
    made, seen = transport(failure, failure, HEALTHY, waits=waits)
    assert made.call("GET", "/v1/health", Health).status == "ok"
    assert (len(seen), len(waits)) == (3, 2)


def test_the_back_off_is_bounded_and_jittered_and_in_the_end_the_failure_is_raised() -> None:
    waits: list[float] = []
    made, seen = transport(*[httpx.Response(500)] * ATTEMPTS, waits=waits)
    with pytest.raises(Unreachable, match="HTTP 500"):
        made.call("GET", "/v1/health", Health)
    assert len(seen) == ATTEMPTS
    assert all(0 <= wait <= LONGEST_WAIT_SECONDS for wait in waits)
    assert len(set(waits)) == len(waits)


def test_a_refusal_is_an_answer_and_is_not_tried_again() -> None:
    document = {"type": Problem.ROUND_CLOSED.urn, "title": "t", "status": 409, "detail": "d", "expected": "e", "got": "g"}
    made, seen = transport(httpx.Response(409, json=document, headers={"content-type": MEDIA_TYPE}))
    with pytest.raises(Refused) as refusal:
        made.call("GET", "/v1/health", Health)
    assert (refusal.value.problem, len(seen)) == (Problem.ROUND_CLOSED, 1)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"type": 1}'])
def test_a_refusal_that_cannot_be_read_and_one_of_a_newer_server_are_refusals_too(body: bytes) -> None:
    made, _ = transport(httpx.Response(409, content=body, headers={"content-type": MEDIA_TYPE}))
    with pytest.raises(Refused) as refusal:
        made.call("GET", "/v1/health", Health)
    assert refusal.value.problem is None


@pytest.mark.parametrize("answer", [httpx.Response(200, content=b"nonsense"), httpx.Response(302), httpx.Response(404)])
def test_an_answer_that_is_not_the_protocols_is_a_failure(answer: httpx.Response) -> None:
    made, _ = transport(answer)
    with pytest.raises(Unreachable):
        made.call("GET", "/v1/health", Health)


def test_a_reply_without_end_is_not_read_to_its_end() -> None:
    read = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal read
        while True:
            read += 1 << 16
            yield b" " * (1 << 16)

    made, _ = transport(httpx.Response(200, content=endless()))
    with pytest.raises(Unreachable):
        made.call("GET", "/v1/health", Health)
    assert read <= REPLY_LIMIT_BYTES + (2 << 16)


def test_a_download_is_exactly_what_was_announced() -> None:
    made, _ = transport(httpx.Response(200, content=DATA))
    assert made.download(CHECKPOINT) == DATA


def test_an_object_of_a_known_length_is_exactly_so_long() -> None:
    for body, found in ((DATA, None), (DATA[:-1], "got 699"), (DATA + b"!", "got more")):
        made, _ = transport(httpx.Response(200, content=body))
        if found is None:
            assert made.fetch(CHECKPOINT.url, len(DATA)) == DATA
        else:
            with pytest.raises(Untrusted, match=found):
                made.fetch(CHECKPOINT.url, len(DATA))


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"!", b"x" * len(DATA)])
def test_a_download_of_other_bytes_is_never_used(data: bytes) -> None:
    made, _ = transport(httpx.Response(200, content=data))
    with pytest.raises(Untrusted, match="version 3"):
        made.download(CHECKPOINT)


def test_an_upload_that_is_there_already_is_done_and_a_refused_one_is_not() -> None:
    made, seen = transport(httpx.Response(503), httpx.Response(412))
    made.upload(GRANT, DATA)
    assert seen[-1].headers["if-none-match"] == "*"
    made, _ = transport(httpx.Response(403))
    with pytest.raises(Unreachable, match="HTTP 403") as failure:
        made.upload(GRANT, DATA)
    assert "secret" not in str(failure.value)


class Broken(httpx.SyncByteStream):
    """A body whose connection ends too early."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"something else, and longer than that " * 100
        raise httpx.ReadError("reset")


def test_a_file_that_breaks_off_is_written_again_from_its_beginning() -> None:
    made, seen = transport(httpx.Response(200, stream=Broken()), httpx.Response(503), httpx.Response(200, content=DATA))
    file = io.BytesIO()
    made.save(CHECKPOINT.url, CHECKPOINT.sha256, 10 * len(DATA), file)
    assert file.getvalue() == DATA
    assert len(seen) == 3


@pytest.mark.parametrize("body", [DATA[:-1], DATA + b"!", DATA[:-1] + b"!", b""])
def test_a_file_of_another_content_is_not_trusted_and_no_longer_than_a_byte_more_is_read(body: bytes) -> None:
    made, _ = transport(httpx.Response(200, content=body))
    file = io.BytesIO()
    with pytest.raises(Untrusted):
        made.save(CHECKPOINT.url, CHECKPOINT.sha256, len(DATA), file)
    longer, _ = transport(httpx.Response(200, content=DATA * 9))
    with pytest.raises(Untrusted):
        longer.save(CHECKPOINT.url, CHECKPOINT.sha256, len(DATA), file)
    assert len(file.getvalue()) == len(DATA) + 1


class Endless(httpx.SyncByteStream):
    """A body without an end."""

    read = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.read < 1000:
            self.read += 1
            yield b"x" * 100


def test_a_file_without_an_end_is_given_up_at_once() -> None:
    body = Endless()
    made, _ = transport(httpx.Response(200, stream=body))
    with pytest.raises(Untrusted):
        made.save(CHECKPOINT.url, CHECKPOINT.sha256, 250, io.BytesIO())
    assert body.read == 3


def test_an_object_that_is_not_there_is_missing_and_one_that_may_not_be_read_is_not() -> None:
    for status, kind in ((404, Missing), (403, Expired)):
        made, seen = transport(httpx.Response(status, content=b"<Error/>"))
        file = io.BytesIO()
        with pytest.raises(Unreachable) as told:
            made.save(CHECKPOINT.url, CHECKPOINT.sha256, len(DATA), file)
        assert told.type is kind
        assert "secret" not in str(told.value)
        assert (len(seen), file.getvalue()) == (1, b"")


@pytest.mark.parametrize("status", [400, 403])
def test_a_url_that_is_no_longer_good_is_told_apart_because_a_fresh_one_can_be_had(status: int) -> None:
    made, seen = transport(httpx.Response(status, content=b"<Error/>"))
    with pytest.raises(Expired, match=f"HTTP {status}"):
        made.upload(GRANT, DATA)
    assert len(seen) == 1


def test_an_upload_that_met_another_under_the_same_key_is_tried_again() -> None:
    conflict = httpx.Response(409, content=b"<Error><Code>ConditionalRequestConflict</Code></Error>")
    made, seen = transport(conflict, httpx.Response(200))
    made.upload(GRANT, DATA)
    assert len(seen) == 2


@pytest.mark.parametrize("status", [200, 404])
def test_a_body_that_comes_compressed_is_not_even_read(status: int) -> None:
    def bomb():  # type: ignore[no-untyped-def]
        raise AssertionError("the body was read")
        yield b""

    made, seen = transport(httpx.Response(status, content=bomb(), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(Untrusted, match="gzip"):
        made.download(CHECKPOINT)
    assert seen[0].headers["accept-encoding"] == "identity"


def test_a_servers_failure_may_pass_also_when_it_comes_compressed() -> None:
    made, seen = transport(httpx.Response(503, content=iter([b"?"]), headers={"Content-Encoding": "br"}), HEALTHY)
    assert made.call("GET", "/v1/health", Health).status == "ok"
    assert len(seen) == 2


@pytest.mark.parametrize("encoding", ["gzip", "br", "aws-chunked"])
def test_a_file_is_saved_as_it_is_stored_whatever_encoding_its_writer_claimed(encoding: str) -> None:
    for stored in (DATA, gzip.compress(DATA)):
        kept = httpx.Response(200, stream=httpx.ByteStream(stored), headers={"Content-Encoding": encoding})
        made, _ = transport(kept)
        file = io.BytesIO()
        made.save("http://s3.test/key?secret", hashlib.sha256(stored).hexdigest(), len(stored), file)
        assert file.getvalue() == stored


def test_a_file_that_would_grow_when_it_is_unpacked_is_read_no_further_than_its_limit() -> None:
    made, _ = transport(httpx.Response(200, stream=httpx.ByteStream(DATA), headers={"Content-Encoding": "gzip"}))
    file = io.BytesIO()
    with pytest.raises(Untrusted, match="at most 10 bytes"):
        made.save("http://s3.test/key?secret", CHECKPOINT.sha256, 10, file)
    assert len(file.getvalue()) == 11
