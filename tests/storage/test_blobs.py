"""Objects: what S3 answers when two write one key, and how many go into one request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from chalicelib.rounds.round_id import RoundId
from chalicelib.storage.blobs import DELETE_BATCH, Blobs
from tests.fleet import World


@pytest.fixture
def s3(world: World) -> Iterator[Stubber]:
    """The functions' own S3 client, as it is configured, with answers that a test gives."""
    with Stubber(world.services.blobs.client) as stubber:
        yield stubber


def refuse(s3: Stubber, code: str, status: int) -> None:
    s3.add_client_error("put_object", code, http_status_code=status)


def test_an_object_that_is_there_already_was_written(s3: Stubber, world: World) -> None:
    refuse(s3, "PreconditionFailed", 412)
    assert not world.services.blobs.put_once("key", b"content")


@pytest.mark.parametrize(
    ("code", "status"), [("ConditionalRequestConflict", 409), ("AccessDenied", 403), ("NoSuchBucket", 404)]
)
def test_an_object_that_may_not_have_been_written_is_a_failure_so_that_the_step_is_taken_again(
    s3: Stubber, world: World, code: str, status: int
) -> None:
    refuse(s3, code, status)
    with pytest.raises(ClientError, match=code):
        world.services.blobs.put_once("key", b"content")
    s3.add_response(
        "put_object", {}, {"Bucket": ANY, "Key": "key", "Body": b"content", "IfNoneMatch": "*", "ChecksumSHA256": ANY}
    )
    assert world.services.blobs.put_once("key", b"content")
    s3.assert_no_pending_responses()


@pytest.mark.parametrize("key", ["manifests", "checkpoints", "versions"])
def test_a_round_in_which_two_wrote_one_key_at_once_ends_all_the_same(world: World, key: str) -> None:
    world.model(goal=1, quorum=1, evaluators=0)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    conflict = ClientError(
        {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}},  # type: ignore[typeddict-item]
        "PutObject",
    )
    client, refused = world.services.blobs.client, list[str]()
    put = client.put_object

    def once(**request: Any) -> Any:
        if key in request["Key"] and not refused:
            refused.append(request["Key"])
            raise conflict
        return put(**request)

    client.put_object = once  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup) as failure:
        world.tick()
    assert failure.value.exceptions == (conflict,)
    world.tick()
    assert refused
    assert (world.operator.round("toy", 1).phase, world.operator.status("toy").newest_version) == ("completed", 1)


def test_no_request_deletes_more_objects_than_it_may_and_none_is_left(world: World, s3: Stubber) -> None:
    keys = [f"updates/{number}" for number in range(2 * DELETE_BATCH + 1)]
    for start in (0, DELETE_BATCH, 2 * DELETE_BATCH):
        batch = [{"Key": key} for key in keys[start : start + DELETE_BATCH]]
        s3.add_response("delete_objects", {}, {"Bucket": ANY, "Delete": {"Objects": batch, "Quiet": True}})
    world.services.blobs.delete(iter(keys))
    s3.assert_no_pending_responses()


def test_an_object_that_could_not_be_deleted_is_told_by_its_key(world: World, s3: Stubber) -> None:
    s3.add_response("delete_objects", {"Errors": [{"Key": "updates/7", "Code": "AccessDenied"}]})
    with pytest.raises(RuntimeError, match="updates/7: AccessDenied"):
        world.services.blobs.delete(["updates/7"])


def test_to_delete_nothing_asks_nothing(s3: Stubber, world: World) -> None:
    world.services.blobs.delete([])
    assert isinstance(world.services.blobs, Blobs)
