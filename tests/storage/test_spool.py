"""An object whose name is known when its content is: short ones are put, long ones go through the staging key."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError, ResponseStreamingError
from botocore.response import StreamingBody

from chalicelib.storage import spool as module
from chalicelib.storage.blobs import Blobs, ObjectMissing, ObjectTooLarge
from chalicelib.storage.spool import Spool
from tests.fleet import Killed, World

MIB = 1 << 20


@pytest.fixture
def blobs(world: World) -> Blobs:
    return world.services.blobs


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces as short as S3 takes them."""
    monkeypatch.setattr(module, "PIECE_BYTES", 5 * MIB)
    monkeypatch.setattr(module, "COPY_BYTES", 6 * MIB)


def written(blobs: Blobs, content: bytes, step: int = 700_001) -> Spool:
    spool = Spool(blobs, "staging")
    for start in range(0, len(content), step):
        spool.write(content[start : start + step])
    return spool


def names(world: World) -> set[str]:
    return {o["Key"] for o in world.s3.list_objects_v2(Bucket=world.settings.bucket).get("Contents", [])}


def uploads(world: World) -> list[Any]:
    return list(world.s3.list_multipart_uploads(Bucket=world.settings.bucket).get("Uploads", []))


CONTENT = bytes(range(256)) * (13 * MIB // 256) + b"tail"


@pytest.mark.usefixtures("small_pieces")
def test_a_long_object_is_uploaded_in_pieces_and_copied_to_its_name(world: World, blobs: Blobs) -> None:
    with world.calls.count() as calls, written(blobs, CONTENT) as spool:
        assert spool.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert spool.nbytes == len(CONTENT)
        spool.keep_as("wanted")
    assert calls.count("UploadPart") == 3
    assert calls.count("UploadPartCopy") == 3
    assert blobs.read("wanted", len(CONTENT)) == CONTENT
    assert names(world) == {"wanted"}
    assert uploads(world) == []


def test_a_short_object_is_put_at_once(world: World, blobs: Blobs) -> None:
    with world.calls.count() as calls, written(blobs, b"short") as spool:
        spool.keep_as("wanted")
    assert calls == ["PutObject"]
    assert blobs.read("wanted", 5) == b"short"


@pytest.mark.usefixtures("small_pieces")
def test_what_is_not_kept_leaves_nothing_behind(world: World, blobs: Blobs) -> None:
    with pytest.raises(ZeroDivisionError), written(blobs, CONTENT):
        raise ZeroDivisionError
    assert (names(world), uploads(world)) == (set(), [])


@pytest.mark.usefixtures("small_pieces")
def test_a_second_writer_of_the_same_content_changes_nothing(world: World, blobs: Blobs) -> None:
    one, other = written(blobs, CONTENT), written(blobs, CONTENT)
    one.keep_as("wanted")
    before = blobs.stat("wanted")
    with world.calls.count() as calls:
        other.keep_as("wanted")
    assert "UploadPartCopy" not in calls
    assert blobs.stat("wanted") == before
    assert (names(world), uploads(world)) == ({"wanted"}, [])


@pytest.mark.usefixtures("small_pieces")
def test_what_a_dead_writer_left_is_not_taken_for_another_ones(world: World, blobs: Blobs) -> None:
    """It may have been of another release, whose bytes are others: what is copied is what was hashed."""

    def die(operation: str, proceed: Any) -> Any:
        if operation == "UploadPartCopy":
            raise Killed
        return proceed()

    world.calls.between = die
    with pytest.raises(Killed), written(blobs, CONTENT[::-1]) as spool:
        spool.keep_as("left")
    world.calls.between = None
    assert blobs.stat("left") is None
    with written(blobs, CONTENT) as spool:
        spool.keep_as("wanted")
    assert blobs.read("wanted", len(CONTENT)) == CONTENT


@pytest.mark.usefixtures("small_pieces")
def test_a_writer_that_is_overtaken_while_it_copies_is_content(world: World, blobs: Blobs) -> None:
    def overtake(operation: str, proceed: Any) -> Any:
        if operation == "UploadPartCopy":
            world.s3.put_object(Bucket=world.settings.bucket, Key="wanted", Body=CONTENT)
        return proceed()

    world.calls.between = overtake
    with written(blobs, CONTENT) as spool:
        spool.keep_as("wanted")
    world.calls.between = None
    assert blobs.read("wanted", len(CONTENT)) == CONTENT
    assert (names(world), uploads(world)) == ({"wanted"}, [])


def test_a_range_is_read_into_memory_and_nothing_else_than_what_was_pinned(world: World, blobs: Blobs) -> None:
    blobs.put_once("key", b"0123456789")
    stat = blobs.stat("key")
    assert stat
    memory = bytearray(4)
    blobs.read_into(memoryview(memory), "key", 3, etag=stat.etag)
    assert memory == b"3456"
    for begin, etag in ((3, '"another"'), (8, stat.etag), (10, stat.etag)):
        with pytest.raises(ObjectMissing):
            blobs.read_into(memoryview(memory), "key", begin, etag=etag)
    with pytest.raises(ObjectMissing):
        blobs.read_into(memoryview(memory), "other", 0)
    with pytest.raises(ObjectTooLarge):
        blobs.read("key", 9)


def test_a_range_whose_answer_breaks_off_is_read_again_and_given_up_after_a_while(
    world: World, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    blobs.put_once("key", b"0123456789")
    failures = iter([ReadTimeoutError(endpoint_url="s3"), ResponseStreamingError(error="reset")])
    original = StreamingBody.readinto

    def broken(self: StreamingBody, buffer: Any) -> int:
        if failure := next(failures, None):
            raise failure
        return original(self, buffer)

    monkeypatch.setattr(StreamingBody, "readinto", broken)
    memory = bytearray(10)
    with world.calls.count() as calls:
        blobs.read_into(memoryview(memory), "key", 0)
    assert memory == b"0123456789"
    assert calls == ["GetObject"] * 3
    failures = iter([ReadTimeoutError(endpoint_url="s3")] * 10)
    with pytest.raises(ReadTimeoutError):
        blobs.read_into(memoryview(memory), "key", 0)
