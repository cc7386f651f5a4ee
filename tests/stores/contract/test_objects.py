"""S3: objects are written once, read in ranges, listed in order, uploaded in parts."""

from __future__ import annotations

import base64
import hashlib
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.stores.contract.places import refusal
from tests.stores.contract.shorthand import Bucket


def digest(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.mark.parametrize("kind", [bytes, bytearray, io.BytesIO])
def test_an_object_reads_back_as_it_was_written(bucket: Bucket, kind: Any) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    expected = b"content"
    etag = bucket.put("a/ä b+c", kind(expected))["ETag"]
    assert etag == f'"{hashlib.md5(expected).hexdigest()}"'
    found = bucket.call("get_object", Key="a/ä b+c")
    assert (found["ContentLength"], found["ETag"]) == (len(expected), etag)
    assert before <= found["LastModified"] <= datetime.now(UTC)
    assert found["Body"].read() == expected
    head = bucket.call("head_object", Key="a/ä b+c")
    assert (head["ContentLength"], head["ETag"], head["LastModified"]) == (len(expected), etag, found["LastModified"])


def test_a_body_is_read_into_memory_and_closed(bucket: Bucket) -> None:
    bucket.put("a", b"0123456789")
    body = bucket.call("get_object", Key="a")["Body"]
    view = bytearray(4)
    assert (body.readinto(view), bytes(view), body.read(3), body.read()) == (4, b"0123", b"456", b"789")
    assert body.readinto(view) == 0
    body.close()


@pytest.mark.parametrize(
    ("wanted", "expected", "said"),
    [
        ("bytes=0-0", b"0", "0-0"), ("bytes=2-4", b"234", "2-4"), ("bytes=7-99", b"789", "7-9"), ("bytes=4-", b"456789", "4-9"),
        ("bytes=-3", b"789", "7-9"),
    ],
)  # fmt: skip
def test_a_range_is_read(bucket: Bucket, wanted: str, expected: bytes, said: str) -> None:
    bucket.put("a", b"0123456789")
    found = bucket.call("get_object", Key="a", Range=wanted)
    assert (found["ContentLength"], found["ContentRange"]) == (len(expected), f"bytes {said}/10")
    assert found["Body"].read() == expected
    assert found["ResponseMetadata"]["HTTPStatusCode"] in (200, 206)


def test_a_range_behind_the_end_is_refused(bucket: Bucket) -> None:
    bucket.put("a", b"0123456789")
    bucket.put("empty")
    refusal(lambda: bucket.read("a", Range="bytes=10-12"), "InvalidRange", status=416)
    refusal(lambda: bucket.read("empty", Range="bytes=0-12"), "InvalidRange", status=416)


def test_an_object_is_written_once(bucket: Bucket) -> None:
    bucket.put("a", b"first", IfNoneMatch="*")
    refusal(lambda: bucket.put("a", b"second", IfNoneMatch="*"), "PreconditionFailed", "pre-conditions", 412)
    assert bucket.read("a") == b"first"
    bucket.put("a", b"third")
    assert bucket.read("a") == b"third"
    bucket.call("delete_object", Key="a")
    bucket.put("a", b"fourth", IfNoneMatch="*")
    assert bucket.read("a") == b"fourth"


def test_an_object_is_read_only_while_it_is_that_one(bucket: Bucket) -> None:
    etag = bucket.put("a", b"first")["ETag"]
    assert bucket.read("a", IfMatch=etag) == b"first"
    bucket.put("a", b"other")
    refusal(lambda: bucket.read("a", IfMatch=etag), "PreconditionFailed", status=412)


def test_what_is_not_there_is_named(bucket: Bucket) -> None:
    refusal(lambda: bucket.read("a"), "NoSuchKey", "does not exist", 404)
    refusal(lambda: bucket.call("head_object", Key="a"), "404", "Not Found", 404)
    refusal(lambda: bucket.read("a", IfMatch='"x"'), "NoSuchKey", status=404)
    refusal(lambda: bucket.s3.get_object(Bucket="nowhere-at-all", Key="a"), "NoSuchBucket", status=404)
    refusal(lambda: bucket.s3.put_object(Bucket="nowhere-at-all", Key="a"), "NoSuchBucket", status=404)
    refusal(lambda: bucket.s3.head_bucket(Bucket="nowhere-at-all"), "404", status=404)
    with pytest.raises(bucket.s3.exceptions.NoSuchKey):
        bucket.read("a")


def test_a_checksum_is_verified(bucket: Bucket) -> None:
    refusal(lambda: bucket.put("a", b"other", ChecksumSHA256=digest(b"content")), "BadDigest")
    assert bucket.keys() == []


def test_what_is_no_checksum_is_refused(bucket: Bucket) -> None:
    refusal(lambda: bucket.put("a", b"content", ChecksumSHA256="AAAA"), "InvalidRequest")


def test_a_checksum_is_told_when_it_is_asked_for(bucket: Bucket) -> None:
    bucket.put("a", b"content", ChecksumSHA256=digest(b"content"))
    assert bucket.call("head_object", Key="a", ChecksumMode="ENABLED")["ChecksumSHA256"] == digest(b"content")
    assert "ChecksumSHA256" not in bucket.call("head_object", Key="a")
    bucket.put("b", b"content")
    assert "ChecksumSHA256" not in bucket.call("head_object", Key="b", ChecksumMode="ENABLED")


def test_a_content_encoding_is_kept_and_nothing_is_decoded(bucket: Bucket) -> None:
    bucket.put("a", b"no gzip", ContentEncoding="gzip")
    assert bucket.call("head_object", Key="a")["ContentEncoding"] == "gzip"
    assert bucket.read("a") == b"no gzip"
    assert bucket.call("get_object", Key="a", ResponseContentEncoding="identity")["ContentEncoding"] == "identity"


# ---- lists


def test_a_list_is_in_the_order_of_the_keys_bytes(bucket: Bucket) -> None:
    names = ["a", "a/1", "a/2", "a0", "b", "ä", "\U0001f600", "Z", "a b", "a+b", "a%2F1"]
    for name in names:
        bucket.put(name, name.encode())
    assert bucket.keys() == sorted(names, key=str.encode)
    assert bucket.keys(Prefix="a/") == ["a/1", "a/2"]
    assert bucket.keys(StartAfter="a/1", Prefix="a") == ["a/2", "a0"]
    assert bucket.keys(StartAfter="a/11", Prefix="a/") == ["a/2"]
    assert bucket.keys(StartAfter="A", Prefix="a/") == ["a/1", "a/2"]
    assert bucket.keys(Prefix="nothing") == []
    answer = bucket.call("list_objects_v2", Prefix="nothing")
    assert (answer["KeyCount"], answer["IsTruncated"], "Contents" in answer) == (0, False, False)
    (listed,) = bucket.call("list_objects_v2", Prefix="ä")["Contents"]
    assert (listed["Size"], listed["LastModified"].utcoffset() is not None) == (2, True)


@pytest.mark.parametrize("most", [1, 2, 5, 6, 7])
def test_pages_of_a_list_are_the_whole_once(bucket: Bucket, most: int) -> None:
    names = [f"k/{number}" for number in range(6)]
    for name in names:
        bucket.put(name)
    by_token: list[str] = []
    for page in bucket.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, PaginationConfig={"PageSize": most}):
        assert page["KeyCount"] == len(page["Contents"]) <= most
        by_token += [found["Key"] for found in page["Contents"]]
    by_key: list[str] = []
    while True:
        page = bucket.call("list_objects_v2", MaxKeys=most, StartAfter=by_key[-1] if by_key else "")
        by_key += [found["Key"] for found in page.get("Contents", [])]
        if not page["IsTruncated"]:
            break
    assert by_token == by_key == names


def test_objects_are_deleted_many_at_a_time_and_what_is_gone_is_no_matter(bucket: Bucket) -> None:
    for name in ("a", "b", "c"):
        bucket.put(name)
    wanted = [{"Key": name} for name in ("a", "b", "gone")]
    answer = bucket.call("delete_objects", Delete={"Objects": wanted})
    assert [one["Key"] for one in answer["Deleted"]] == ["a", "b", "gone"]
    assert bucket.keys() == ["c"]
    bucket.call("delete_object", Key="c")
    bucket.call("delete_object", Key="c")
    assert bucket.keys() == []


def test_a_quiet_deletion_says_nothing(bucket: Bucket) -> None:
    bucket.put("a")
    answer = bucket.call("delete_objects", Delete={"Objects": [{"Key": "a"}], "Quiet": True})
    assert (answer.get("Deleted", []), answer.get("Errors", [])) == ([], [])
    assert bucket.keys() == []


def test_at_most_a_thousand_objects_are_deleted_at_once(bucket: Bucket) -> None:
    bucket.put("k0")
    refusal(lambda: bucket.call("delete_objects", Delete={"Objects": [{"Key": f"k{n}"} for n in range(1001)]}), "MalformedXML")
    assert bucket.keys() == ["k0"]


def test_a_bucket_that_keeps_versions_keeps_what_was_deleted(bucket: Bucket) -> None:
    bucket.put("a", b"0")
    bucket.call("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    made = [bucket.put("a", body)["VersionId"] for body in (b"1", b"2")]
    marker = bucket.call("delete_object", Key="a")
    assert marker["DeleteMarker"] is True
    assert bucket.keys() == []
    refusal(lambda: bucket.read("a"), "NoSuchKey", status=404)
    refusal(lambda: bucket.call("head_object", Key="a"), "404", status=404)
    answer = bucket.call("list_object_versions")
    assert [(one["VersionId"], one["IsLatest"]) for one in answer["Versions"]] == [
        *((one, False) for one in made[::-1]),
        ("null", False),
    ]
    assert [(one["VersionId"], one["IsLatest"]) for one in answer["DeleteMarkers"]] == [(marker["VersionId"], True)]
    bucket.call("delete_object", Key="a", VersionId=marker["VersionId"])
    assert bucket.read("a") == b"2"
    bucket.call("delete_objects", Delete={"Objects": [{"Key": "a", "VersionId": made[1]}]})
    assert (bucket.read("a"), bucket.keys()) == (b"1", ["a"])
    bucket.put("b", IfNoneMatch="*")
    bucket.call("delete_object", Key="b")
    bucket.put("b", IfNoneMatch="*")


def test_a_bucket_may_be_made_again_by_its_owner(bucket: Bucket) -> None:
    bucket.put("a")
    bucket.s3.create_bucket(Bucket=bucket.name)
    assert bucket.keys() == ["a"]
    assert bucket.name in [found["Name"] for found in bucket.s3.list_buckets()["Buckets"]]
