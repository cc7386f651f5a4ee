"""A device's HTTP: retried with capped, jittered back-off; bounded; nothing that cannot be trusted is used."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from muster.device import transport as of_a_device
from muster.device.transport import DeviceTransport
from muster.http.errors import Expired, Missing, Overloaded, Refused, Unreachable, Untrusted
from muster.http.transport import ATTEMPTS, LONGEST_WAIT_SECONDS, REPLY_LIMIT_BYTES, Transport
from muster.wire.messages import Checkpoint, Health, UploadGrant
from muster.wire.problems import MEDIA_TYPE, Problem

DATA = b"tensors" * 100
CHECKPOINT = Checkpoint(version=3, sha256=hashlib.sha256(DATA).hexdigest(), bytes=len(DATA), url="https://s3.test/key?secret")
GRANT = UploadGrant(url="https://s3.test/key?secret", headers={"If-None-Match": "*"}, expires_at="2026-01-01T00:00:00Z")
HEALTHY = httpx.Response(200, json={"status": "ok", "release": "1"})


Made = tuple[Transport, list[httpx.Request]]


def transport(
    *answers: httpx.Response | Exception, waits: list[float] | None = None, kind: type[Transport] = Transport
) -> Made:
    """A transport whose server gives these answers, one after the other."""
    left, seen = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    sleep: Callable[[float], None] = (waits if waits is not None else []).append
    return kind("https://api.test", http=httpx.Client(transport=httpx.MockTransport(answer)), sleep=sleep), seen


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

    def endless() -> Iterator[bytes]:
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
    def bomb() -> bytes:
        raise AssertionError("the body was read")

    body = (bomb() for _ in range(1))
    made, seen = transport(httpx.Response(status, content=body, headers={"Content-Encoding": "gzip"}))
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
        made.save("https://s3.test/key?secret", hashlib.sha256(stored).hexdigest(), len(stored), file)
        assert file.getvalue() == stored


def test_a_file_that_would_grow_when_it_is_unpacked_is_read_no_further_than_its_limit() -> None:
    made, _ = transport(httpx.Response(200, stream=httpx.ByteStream(DATA), headers={"Content-Encoding": "gzip"}))
    file = io.BytesIO()
    with pytest.raises(Untrusted, match="at most 10 bytes"):
        made.save("https://s3.test/key?secret", CHECKPOINT.sha256, 10, file)
    assert len(file.getvalue()) == 11


def impatient(*answers: httpx.Response | Exception) -> Made:
    """As `transport`, of a device."""
    return transport(*answers, kind=DeviceTransport)


@pytest.mark.parametrize("status", [429, 503])
def test_a_device_does_not_try_again_what_met_an_overload_and_a_person_does(status: int) -> None:
    made, seen = impatient(httpx.Response(status, headers={"Retry-After": "7"}))
    with pytest.raises(Overloaded, match=f"HTTP {status}") as told:
        made.call("GET", "/v1/health", Health)
    assert (told.value.retry_after_seconds, told.value.status, len(seen)) == (7.0, status, 1)
    waits: list[float] = []
    made, seen = transport(httpx.Response(status, headers={"Retry-After": "7"}), HEALTHY, waits=waits)
    made.call("GET", "/v1/health", Health)
    assert (waits, len(seen)) == ([7.0], 2)


def test_a_long_retry_after_makes_no_person_wait_longer_than_the_longest_wait() -> None:
    waits: list[float] = []
    made, _ = transport(httpx.Response(503, headers={"Retry-After": "86400"}), HEALTHY, waits=waits)
    made.call("GET", "/v1/health", Health)
    assert waits == [LONGEST_WAIT_SECONDS]


DATE = "Thu, 01 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("120", None, 120.0), ("0", None, 0.0), (" 5 ", None, 5.0), ("9" * 400, None, 999_999_999_999.0), ("", None, None),
        ("-1", None, None), ("1.5", None, None), ("soon", DATE, None), ("\u0665", None, None),
        ("Thu, 01 Jan 2026 12:02:00 GMT", DATE, 120.0), ("Thu, 01 Jan 2026 11:00:00 GMT", DATE, 0.0),
        ("Thu, 01 Jan 2026 12:02:00 GMT", None, None), ("Thu, 01 Jan 2026 12:02:00 GMT", "now", None),
        ("Thu, 01 Jan 2026 12:02:00 -0000", DATE, None),
    ],
)  # fmt: skip
def test_a_retry_after_is_a_number_of_seconds_or_a_date_by_the_servers_own_clock(
    said: str, date: str | None, seconds: float | None
) -> None:
    headers = [(b"Retry-After", said.encode()), *([(b"Date", date.encode())] if date else [])]
    made, _ = impatient(httpx.Response(503, headers=headers))
    with pytest.raises(Overloaded) as told:
        made.call("GET", "/v1/health", Health)
    assert told.value.retry_after_seconds == seconds


def test_after_a_failure_for_good_a_device_tries_once_until_it_is_answered() -> None:
    down = [httpx.ConnectError("no")] * of_a_device.ATTEMPTS
    answers: list[httpx.Response | Exception] = [
        *down,
        httpx.Response(500),
        httpx.ConnectError("no"),
        httpx.Response(404),
        *down,
    ]
    made, seen = impatient(*answers)
    counts = []
    for _ in range(5):
        before = len(seen)
        with pytest.raises(Unreachable):
            made.call("GET", "/v1/health", Health)
        counts.append(len(seen) - before)
    assert counts == [of_a_device.ATTEMPTS, 1, 1, 1, of_a_device.ATTEMPTS], "a 404 is an answer"


def test_nothing_is_tried_again_and_no_wait_goes_on_once_it_is_to_stop() -> None:
    stop = threading.Event()

    def answer(_: httpx.Request) -> httpx.Response:
        stop.set()
        return httpx.Response(500)

    made = Transport("https://api.test", http=httpx.Client(transport=httpx.MockTransport(answer)))
    made.stop = stop
    with pytest.raises(Unreachable):
        made.call("GET", "/v1/health", Health)
    made._pause(3600.0)


@pytest.mark.parametrize("status", [401, 403, 418])
def test_a_refusal_is_classed_by_the_status_of_its_answer_whatever_its_document_says(status: int) -> None:
    document = {"type": "urn:muster:problem:of-tomorrow", "title": "t", "status": 200, "detail": "d"}
    for content in ({"json": document}, {"content": b"<html>"}):
        made, _ = transport(httpx.Response(status, headers={"content-type": MEDIA_TYPE}, **content))
        with pytest.raises(Refused) as refusal:
            made.call("GET", "/v1/health", Health)
        assert (refusal.value.problem, refusal.value.document.status) == (None, status)
        assert refusal.value.unauthenticated == (status == 401)


def test_several_threads_share_a_transport_and_each_has_its_own_answer() -> None:
    """Every other request fails once; no thread is told another's answer, or gives up for another's failure."""
    seen: dict[str, int] = {}
    lock = threading.Lock()

    def answer(request: httpx.Request) -> httpx.Response:
        with lock:
            seen[request.url.path] = seen.get(request.url.path, 0) + 1
            first = seen[request.url.path] == 1
        if first and int(request.url.path.rpartition("/")[2]) % 2:
            return httpx.Response(503)
        return httpx.Response(200, json={"status": "ok", "release": request.url.path})

    made = Transport("https://api.test", http=httpx.Client(transport=httpx.MockTransport(answer)), sleep=lambda _: None)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: made.call("GET", f"/{number}", Health).release, range(200)))
    assert found == [f"/{number}" for number in range(200)]
    assert sum(seen.values()) == 300


def test_a_file_that_was_saved_is_an_answer_too() -> None:
    made, seen = impatient(httpx.ConnectError("no"), *[httpx.Response(200, content=DATA)], *[httpx.ConnectError("no")] * 3)
    made._came_to(answered=False)
    with pytest.raises(Unreachable):
        made.call("GET", "/v1/health", Health)
    made.save(CHECKPOINT.url, CHECKPOINT.sha256, len(DATA), io.BytesIO())
    with pytest.raises(Unreachable):
        made.call("GET", "/v1/health", Health)
    assert len(seen) == 1 + 1 + of_a_device.ATTEMPTS
