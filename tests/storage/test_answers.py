"""Answers that are not whole are asked for again, and never believed; what breaks off is read on."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError

from chalicelib import wiring
from chalicelib.storage.answers import ATTEMPTS, CONFLICTS, BrokenAnswer
from chalicelib.storage.blobs import READ_ATTEMPTS, READ_BYTES, Blobs, ObjectMissing
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.queues import Queue
from chalicelib.storage.topics import Notice, Topic
from tests.fleet import SESSION, World, client_of
from tests.storage.scripted import Script, answer, scripted

KEY = {"pk": "test", "sk": "row"}
ROW = b'{"Item":{"pk":{"S":"test"},"value":{"N":"1"}},"ConsumedCapacity":{"TableName":"t","CapacityUnits":1}}'
NO_ROW = b'{"ConsumedCapacity":{"TableName":"t","CapacityUnits":1}}'


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before it tries again."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


@contextmanager
def store(service: str, answers: Sequence[bytes]) -> Iterator[tuple[Any, Script]]:
    """A client as the functions have it, of a store that answers so."""

    class Elsewhere:
        def client(self, name: str, **options: Any) -> Any:
            return client_of(name, endpoint_url=script.url, **options)

    with scripted(answers) as script:
        yield wiring.Services(settings=None, session=Elsewhere())._client(service), script  # type: ignore[arg-type]


def crc(body: bytes, wrong: int = 0) -> dict[str, Any]:
    return {"x_amz_crc32": str(zlib.crc32(body) + wrong)}


# ---- DynamoDB, on the wire

BROKEN = {
    "in the middle": answer(ROW, breaks_at=40),
    "before it began": answer(ROW, breaks_at=0),
    "another checksum": answer(ROW, **crc(ROW, 1)),
    "empty, and whole": answer(b""),
    "without its members": answer(b"{}"),
    "of unknown length, in the middle": answer(ROW, breaks_at=40).replace(b"Content-Length", b"X-Length"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_read_whose_answer_is_not_whole_is_made_again(broken: bytes) -> None:
    with store("dynamodb", [broken, broken, answer(ROW, **crc(ROW))]) as (client, script):
        found = Table(client, "t").get(KEY)
    assert found
    assert found["value"] == 1
    assert len(script.requests) == 3


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_read_that_never_has_a_whole_answer_is_a_failure_and_not_an_absence(broken: bytes) -> None:
    with store("dynamodb", [broken]) as (client, script):
        with pytest.raises(BrokenAnswer):
            Table(client, "t").get(KEY)
        assert len(script.requests) >= ATTEMPTS, "botocore asks again for some of them by itself"
        with pytest.raises(BrokenAnswer):
            list(Table(client, "t").query("test", "row"))


def test_a_whole_answer_without_a_row_is_an_absence() -> None:
    with store("dynamodb", [answer(NO_ROW, **crc(NO_ROW))]) as (client, script):
        assert Table(client, "t").get(KEY) is None
    assert len(script.requests) == 1


def test_a_refusal_that_breaks_off_is_asked_for_again() -> None:
    lost = b'{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","Item":{"value":{"N":"7"}}}'
    refusal = answer(lost, status="400 Bad Request")
    with store("dynamodb", [answer(lost, status="400 Bad Request", breaks_at=70), refusal]) as (client, _):
        table = Table(client, "t")
        with pytest.raises(ConditionFailed) as failed:
            table.put(Put(table=table, key=KEY, item={"value": 1}, condition=NEW))
    assert failed.value.found == {"value": 7}


def test_a_change_whose_row_broke_off_is_not_taken_for_a_row_without_attributes() -> None:
    whole = b'{"Attributes":{"value":{"N":"2"}}}'
    with store("dynamodb", [answer(whole, breaks_at=20), answer(b"{}"), answer(whole)]) as (client, script):
        table = Table(client, "t")
        found = table.update_and_read(
            Update(table=table, key=KEY, condition=Condition("#value = :one", "it is one", {":one": 1}), set={"value": 2})
        )
    assert found == {"value": 2}
    assert len(script.requests) == 3


# ---- in this process


def first(times: int, instead: Callable[[Callable[[], Any]], Any], only: str) -> Callable[[str, Callable[[], Any]], Any]:
    """The first `times` calls of an operation are answered by `instead`."""
    left = iter(range(times))

    def between(operation: str, proceed: Callable[[], Any]) -> Any:
        return instead(proceed) if operation == only and next(left, None) is not None else proceed()

    return between


def test_a_write_that_was_done_though_its_answer_was_not_whole_knows_its_repeat(world: World) -> None:
    def broken(proceed: Callable[[], Any]) -> Any:
        proceed()
        raise BrokenAnswer

    table = Table(SESSION.client("dynamodb"), world.settings.rounds_table)
    is_one = Condition("#value = :one", "it is one", {":one": 1})
    world.calls.between = first(1, broken, "PutItem")
    table.put(Put(table=table, key=KEY, item={"value": 1}, condition=NEW))
    world.calls.between = first(1, broken, "UpdateItem")
    assert table.update_and_read(Update(table=table, key=KEY, condition=is_one, set={"value": 2}))["value"] == 2
    world.calls.between = first(1, broken, "TransactWriteItems")
    is_two = Condition("#value = :two", "it is two", {":two": 2})
    table.transact([Update(table=table, key=KEY, condition=is_two, set={"value": 3})])
    world.calls.between = first(1, broken, "DeleteItem")
    table.delete(KEY)
    assert table.get(KEY) is None


def test_a_device_with_a_good_key_is_not_told_otherwise_by_an_answer_that_broke_off(world: World) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    world.calls.between = first(2, lambda _: {}, "UpdateItem")
    assert world.request("POST", "/v1/models/toy/checkin", key=world.key_of(device), body={}).status_code == 200
    world.calls.between = first(10**6, lambda _: {}, "UpdateItem")
    assert world.request("POST", "/v1/models/toy/checkin", key=world.key_of(device), body={}).status_code == 500


def conflict(operation: str) -> ClientError:
    error: Any = {"Error": {"Code": "TransactionConflictException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(error, operation)


@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem"])
def test_a_single_write_that_meets_a_transaction_is_made_again(world: World, operation: str) -> None:
    table = Table(SESSION.client("dynamodb"), world.settings.rounds_table)
    there = Condition("attribute_exists(#pk)", "it is there")
    writes: dict[str, Callable[[], Any]] = {
        "PutItem": lambda: table.put(Put(table=table, key=KEY, item={"value": 2}, condition=there)),
        "UpdateItem": lambda: table.update(Update(table=table, key=KEY, condition=there, set={"value": 2})),
        "DeleteItem": lambda: table.delete(KEY),
    }
    table.put(Put(table=table, key=KEY, item={"value": 1}, condition=NEW))

    def refused(_: object) -> Any:
        raise conflict(operation)

    world.calls.between = first(3, refused, operation)
    with world.calls.count() as calls:
        writes[operation]()
    assert calls == [operation] * 4
    found = table.get(KEY)
    assert (found["value"] if found else None) == (None if operation == "DeleteItem" else 2)
    world.calls.between = first(10**6, refused, operation)
    with world.calls.count() as calls, pytest.raises(ClientError, match="TransactionConflict"):
        writes[operation]()
    assert calls == [operation] * CONFLICTS


MESSAGE = Notice(subject="one", people="one", machines={})


def test_a_message_that_may_not_have_been_taken_is_sent_again(world: World) -> None:
    sqs, sns = SESSION.client("sqs"), SESSION.client("sns")
    left = iter(range(0))
    world.calls.between = lambda operation, proceed: {} if next(left, None) is not None else proceed()
    sends: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: Queue(sqs, world.settings.work_queue_url).send({"reconcile": "toy"}), "SendMessage"),
        (lambda: Queue(sqs, world.settings.work_queue_url).send_all([{"reconcile": "toy"}]), "SendMessageBatch"),
        (lambda: Topic(sns, world.settings.alert_topic_arn).publish(MESSAGE), "Publish"),
    )
    for send, operation in sends:
        left = iter(range(2))
        with world.calls.count() as calls:
            send()
        assert calls == [operation] * 3


# ---- objects

CONTENT = bytes(range(256)) * 16


def part(begin: int, breaks_at: int | None = None, *, etag: str = '"e"', content: bytes = CONTENT) -> bytes:
    """The content from `begin` on, or as much of that as comes before the connection breaks."""
    status = "206 Partial Content" if begin else "200 OK"
    return answer(content[begin:], status=status, breaks_at=breaks_at, ETag=etag)


def asked(script: Script) -> list[tuple[str | None, str | None]]:
    """Range and If-Match of each request."""
    found = []
    for head in script.requests:
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n"))}
        found.append((headers.get("range"), headers.get("if-match")))
    return found


def test_a_whole_object_is_read_on_where_it_broke_off_and_only_of_the_one_that_was_begun() -> None:
    answers = [part(0, 1000), part(1000, 0), part(1000, 1500), part(2500)]
    with store("s3", answers) as (client, script):
        assert Blobs(client, "bucket").read("key", len(CONTENT)) == CONTENT
    assert asked(script) == [
        (None, None), ("bytes=1000-4095", '"e"'), ("bytes=1000-4095", '"e"'), ("bytes=2500-4095", '"e"'),
    ]  # fmt: skip


def test_who_reads_piece_by_piece_does_not_notice_a_break() -> None:
    with store("s3", [part(0, 700), part(700)]) as (client, _):
        found, piece = b"", bytearray(300)
        with Blobs(client, "bucket").open("key", len(CONTENT)) as body:
            while got := body.readinto(memoryview(piece)):
                found += piece[:got]
    assert found == CONTENT


def test_the_head_of_an_object_and_a_range_are_read_on_too() -> None:
    head = CONTENT[:500]
    first = answer(head, status="206 Partial Content", breaks_at=100, ETag='"e"')
    with store("s3", [first, part(100, content=head)]) as (client, script):
        assert Blobs(client, "bucket").read_head("key", 500) == head
    assert asked(script) == [("bytes=0-499", None), ("bytes=100-499", '"e"')]
    memory, rest = bytearray(300), CONTENT[:300]
    with store("s3", [part(0, 100, content=rest), part(100, content=rest)]) as (client, script):
        Blobs(client, "bucket").read_into(memoryview(memory), "key", 50, etag='"e"')
    assert memory == rest
    assert asked(script) == [("bytes=50-349", '"e"'), ("bytes=150-349", '"e"')]


def test_an_object_that_was_replaced_while_it_was_read_is_missing() -> None:
    answers = [part(0, 700), answer(b"", status="412 Precondition Failed")]
    with store("s3", answers) as (client, _), pytest.raises(ObjectMissing):
        Blobs(client, "bucket").read("key", len(CONTENT))


def test_a_read_that_brings_nothing_is_given_up_and_one_that_brings_little_is_not() -> None:
    with store("s3", [part(0, 700), part(700, 0)]) as (client, script):
        with pytest.raises((EOFError, IncompleteReadError)):
            Blobs(client, "bucket").read("key", len(CONTENT))
        assert len(script.requests) == READ_ATTEMPTS
    with store("s3", [part(begin, 100) for begin in range(0, len(CONTENT), 100)]) as (client, script):
        assert Blobs(client, "bucket").read("key", len(CONTENT)) == CONTENT
    assert len(script.requests) == 41


def test_a_long_object_is_handed_on_in_pieces_of_a_bounded_length(world: World) -> None:
    blobs = world.services.blobs
    blobs.put_once("long", bytes(READ_BYTES + 1))
    with blobs.open("long", READ_BYTES + 1) as body:
        memory = memoryview(bytearray(2 * READ_BYTES))
        assert 0 < body.readinto(memory) <= READ_BYTES


def test_an_object_is_read_as_it_is_stored_whatever_it_says_of_its_encoding() -> None:
    stored = gzip.compress(b"a small update" * 100)
    announced = answer(stored, ETag='"e"', Content_Encoding="gzip")
    with store("s3", [announced]) as (client, _):
        blobs, memory = Blobs(client, "bucket"), bytearray(len(stored))
        assert blobs.read("key", len(stored)) == stored
        assert blobs.read_head("key", 1 << 20) == stored
        blobs.read_into(memoryview(memory), "key", 0)
        assert memory == stored


LISTED = b"""<?xml version="1.0"?><ListBucketResult><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>
<Contents><Key>a/1</Key><LastModified>2026-01-01T12:00:00.000Z</LastModified></Contents></ListBucketResult>"""


@pytest.mark.parametrize("broken", [answer(LISTED, breaks_at=100), answer(LISTED, breaks_at=0), answer(b"")])
def test_a_list_of_objects_that_broke_off_is_not_a_list_of_none(broken: bytes) -> None:
    with store("s3", [broken, answer(LISTED)]) as (client, _):
        assert Blobs(client, "bucket").names("a/") == {"a/1"}
    with store("s3", [broken]) as (client, script):
        with pytest.raises(Exception, match=r"expected a body|expected an answer|no element found|Unable to parse"):
            Blobs(client, "bucket").names("a/")
        assert len(script.requests) >= ATTEMPTS
