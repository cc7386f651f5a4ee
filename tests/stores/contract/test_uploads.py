"""S3: multipart uploads, and presigned URLs."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from botocore.credentials import Credentials

from chalicelib.storage.presign import Presigner
from infra.memory.s3 import presigned
from infra.memory.s3.api import S3
from tests.stores.contract.places import refusal
from tests.stores.contract.shorthand import PART, Bucket


class Upload:
    """A multipart upload that was begun."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self.bucket = bucket
        self.where = {"Key": key, "UploadId": bucket.call("create_multipart_upload", Key=key)["UploadId"]}

    def part(self, number: int, body: bytes) -> dict[str, Any]:
        etag = self.bucket.call("upload_part", PartNumber=number, Body=body, **self.where)["ETag"]
        return {"PartNumber": number, "ETag": etag}

    def complete(self, *parts: dict[str, Any], **request: Any) -> dict[str, Any]:
        return self.bucket.call("complete_multipart_upload", MultipartUpload={"Parts": list(parts)}, **self.where, **request)


def test_parts_become_one_object(bucket: Bucket) -> None:
    upload = Upload(bucket, "a")
    first, last = upload.part(1, b"x" * PART), upload.part(2, b"y")
    assert bucket.keys() == []
    answer = upload.complete(first, last)
    digests = hashlib.md5(b"x" * PART).digest() + hashlib.md5(b"y").digest()
    assert answer["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert bucket.read("a") == b"x" * PART + b"y"
    refusal(lambda: bucket.call("abort_multipart_upload", **upload.where), "NoSuchUpload", status=404)


def test_a_part_may_be_sent_again_and_parts_may_be_left_out(bucket: Bucket) -> None:
    upload = Upload(bucket, "a")
    upload.part(1, b"left out")
    upload.part(3, b"first try")
    upload.complete(upload.part(3, b"second try"))
    assert bucket.read("a") == b"second try"


def test_an_upload_is_completed_once_and_only_where_there_is_no_object(bucket: Bucket) -> None:
    bucket.put("a", b"there")
    upload = Upload(bucket, "a")
    part = upload.part(1, b"x")
    refusal(lambda: upload.complete(part, IfNoneMatch="*"), "PreconditionFailed", status=412)
    assert bucket.read("a") == b"there"
    bucket.call("abort_multipart_upload", **upload.where)
    assert bucket.call("list_multipart_uploads").get("Uploads", []) == []


def test_a_part_that_is_not_the_last_has_five_megabytes(bucket: Bucket) -> None:
    upload = Upload(bucket, "a")
    parts = [upload.part(1, b"x" * (PART - 1)), upload.part(2, b"y")]
    refusal(lambda: upload.complete(*parts), "EntityTooSmall")
    assert bucket.keys() == []


def test_parts_are_those_that_were_sent_in_their_order(bucket: Bucket) -> None:
    upload = Upload(bucket, "a")
    one, two = upload.part(1, b"x" * PART), upload.part(2, b"y" * PART)
    refusal(lambda: upload.complete(one, two | {"ETag": '"0"'}), "InvalidPart")
    refusal(lambda: upload.complete(one, {"PartNumber": 3, "ETag": two["ETag"]}), "InvalidPart")
    refusal(lambda: upload.complete(two, one), "InvalidPartOrder")
    assert bucket.keys() == []


def test_an_upload_that_is_not_there_is_named(bucket: Bucket) -> None:
    upload = Upload(bucket, "a")
    assert [one["UploadId"] for one in bucket.call("list_multipart_uploads")["Uploads"]] == [upload.where["UploadId"]]
    bucket.call("abort_multipart_upload", **upload.where)
    refusal(lambda: upload.part(1, b""), "NoSuchUpload", status=404)
    refusal(lambda: upload.complete({"PartNumber": 1, "ETag": '"0"'}), "NoSuchUpload", status=404)


def test_a_part_can_be_copied_from_an_object(bucket: Bucket) -> None:
    bucket.put("from/ä", b"0123456789" * (PART // 10 + 1))
    upload = Upload(bucket, "a")
    source: Any = {"CopySource": {"Bucket": bucket.name, "Key": "from/ä"}, "CopySourceRange": "bytes=2-5"}
    copied = bucket.call("upload_part_copy", PartNumber=1, **source, **upload.where)["CopyPartResult"]
    upload.complete({"PartNumber": 1, "ETag": copied["ETag"]})
    assert bucket.read("a") == b"2345"


@pytest.mark.parametrize(("length", "code"), [(PART, "InvalidRequest"), (PART + 1, "InvalidArgument")])
def test_a_range_is_copied_from_inside_of_a_long_object(bucket: Bucket, length: int, code: str) -> None:
    bucket.put("from", b"x" * length)
    upload = Upload(bucket, "a")
    source: Any = {"CopySource": {"Bucket": bucket.name, "Key": "from"}, "CopySourceRange": f"bytes=2-{length}"}
    refusal(lambda: bucket.call("upload_part_copy", PartNumber=1, **source, **upload.where), code)


# ---- presigned URLs. Only the strict cloud holds a signature against its key; here, headers are held against it.

BODY = b"an update"


def signer() -> Presigner:
    return Presigner(credentials=Credentials("key", "secret"), region="us-east-1", bucket="bucket", endpoint=None, seconds=900)


@pytest.fixture
def objects() -> S3:
    made = S3()
    made.answer("CreateBucket", {"Bucket": "bucket"})
    return made


def sent(objects: S3, changed: dict[str, str | None] | None = None, body: bytes = BODY) -> int:
    url, headers = signer().put("updates/ä", len(BODY), hashlib.sha256(BODY).hexdigest())
    given = {name: value for name, value in {**headers, **(changed or {})}.items() if value is not None}
    return presigned.answer(objects.answer, "PUT", url, given, body).status


def test_a_presigned_put_is_good_for_one_object_once(objects: S3) -> None:
    assert [sent(objects), sent(objects)] == [200, 412]
    answer = presigned.answer(objects.answer, "GET", signer().get("updates/ä"), {}, b"")
    assert (answer.status, answer.content, answer.headers["Content-Encoding"]) == (200, BODY, "identity")


@pytest.mark.parametrize(
    ("changed", "body", "status"),
    [
        ({}, b"other!!!!", 400), ({}, b"longer than that", 403), ({"Content-Length": None}, BODY, 403),
        ({"If-None-Match": None}, BODY, 403), ({"x-amz-checksum-sha256": None}, BODY, 403),
        ({"x-amz-acl": "public"}, BODY, 403),
        ({"Content-Length": "3"}, BODY, 403), ({"Content-Encoding": "gzip"}, BODY, 200),
    ],
    ids=["bytes", "length", "no length", "no condition", "no checksum", "acl", "a lie", "encoding"],
)  # fmt: skip
def test_a_presigned_put_is_good_for_nothing_else(objects: S3, changed: Any, body: bytes, status: int) -> None:
    assert sent(objects, changed, body) == status
    assert (objects.answer("ListObjectsV2", {"Bucket": "bucket"})["KeyCount"] == 1) == (status == 200)


def test_a_presigned_get_answers_ranges_and_what_is_missing(objects: S3) -> None:
    sent(objects)
    found = presigned.answer(objects.answer, "GET", signer().get("updates/ä"), {"Range": "bytes=3-4"}, b"")
    assert (found.status, found.content, found.headers["Content-Range"]) == (206, BODY[3:5], f"bytes 3-4/{len(BODY)}")
    assert presigned.answer(objects.answer, "GET", signer().get("gone"), {}, b"").status == 404
