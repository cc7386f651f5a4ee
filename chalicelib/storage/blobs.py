"""Objects: read within bounds, written once, deleted in batches.

Nothing here overwrites. A key either names its content (a checkpoint) or is a pure function of something frozen (a part of
a round), so "already there" is success, and who came first does not matter.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DELETE_BATCH = 1000
"""Keys that one DeleteObjects request takes."""


class ObjectMissing(Exception):
    """There is no such object, or it is no longer the one that was pinned."""


class ObjectTooLarge(Exception):
    """An object is longer than the caller can accept; nothing of it was read."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What S3 says of an object: its length in bytes, its ETag, and the SHA-256 (hex) that S3 verified at upload, if any."""

    nbytes: int
    etag: str
    sha256: str | None


class Blobs:
    """One bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def stat(self, key: str) -> Stat | None:
        """Length, ETag and verified checksum of an object, or None."""
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        except self._client.exceptions.ClientError as error:
            if _status(error) == 404:
                return None
            raise
        checksum = head.get("ChecksumSHA256")
        return Stat(head["ContentLength"], head["ETag"], base64.b64decode(checksum).hex() if checksum else None)

    def read(self, key: str, limit_bytes: int, *, etag: str | None = None) -> bytearray:
        """A whole object of at most `limit_bytes`; with `etag`, only if it is still that one.

        Raises:
            ObjectMissing: it is not there, or has another ETag.
            ObjectTooLarge: it is longer; nothing of it was read.
        """
        request: dict[str, Any] = {"IfMatch": etag} if etag else {}
        try:
            response = self._client.get_object(Bucket=self.bucket, Key=key, **request)
        except self._client.exceptions.ClientError as error:
            if _status(error) in (404, 412):
                raise ObjectMissing(key) from error
            raise
        with response["Body"] as body:
            length = response["ContentLength"]
            if length > limit_bytes:
                raise ObjectTooLarge(f"{key}: expected at most {limit_bytes} bytes, got {length}")
            return bytearray(body.read())

    def read_head(self, key: str, nbytes: int) -> bytes:
        """The first `nbytes` of an object, or all of it when it is shorter.

        Raises:
            ObjectMissing: it is not there.
        """
        try:
            response = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes=0-{nbytes - 1}")
        except self._client.exceptions.ClientError as error:
            if _status(error) == 404:
                raise ObjectMissing(key) from error
            raise
        with response["Body"] as body:
            return body.read()

    def put_once(self, key: str, data: bytes) -> bool:
        """Write an object if there is none under this key; False when there already was one.

        A racing writer makes S3 answer 409; that is raised, and the step is taken again.
        """
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        try:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*", ChecksumSHA256=checksum)
        except self._client.exceptions.ClientError as error:
            if _status(error) == 412:
                return False
            raise
        return True

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone already are no matter.

        Raises:
            RuntimeError: S3 could not delete one of them.
        """
        objects: list[Any] = [{"Key": key} for key in keys]
        for start in range(0, len(objects), DELETE_BATCH):
            batch = objects[start : start + DELETE_BATCH]
            response = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
            if response.get("Errors"):
                raise RuntimeError(f"S3 did not delete {response['Errors'][0].get('Key')}: {response['Errors'][0].get('Code')}")


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
