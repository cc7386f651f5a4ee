"""Objects: read within bounds, written once, deleted in batches.

A body is read as it is stored, whatever content encoding its writer gave it: botocore decodes nothing. One that breaks off is
read on from there, and only of the very object that was begun (RFC 9110, sections 13.1.1 and 14.2: If-Match, Range).

Nothing here overwrites. A key either names its content (a checkpoint) or is a pure function of something frozen (a part of
a round), so "already there" is success, and who came first does not matter.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from chalicelib.storage.answers import insist

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DELETE_BATCH = 1000
"""Keys that one DeleteObjects request takes."""

LIST_PAGE = 1000
"""Keys that one ListObjectsV2 request answers, at the most."""

READ_ATTEMPTS = 4
"""How often a read is tried that brings nothing; one that brings a byte has as many again."""

READ_BYTES = 1 << 20
"""What is read at a time: it fits into the cache on its way to where it belongs."""


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


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a listing has it: its key, and when it was written (UTC)."""

    key: str
    modified_at: datetime


class Blobs:
    """One bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    def stat(self, key: str) -> Stat | None:
        """Length, ETag and verified checksum of an object, or None."""
        try:
            head = insist(self.client.head_object, "ContentLength", "ETag", Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        except self.client.exceptions.ClientError as error:
            if status_of(error) == 404:
                return None
            raise
        checksum = head.get("ChecksumSHA256")
        return Stat(head["ContentLength"], head["ETag"], base64.b64decode(checksum).hex() if checksum else None)

    @contextmanager
    def open(self, key: str, limit_bytes: int, *, etag: str | None = None) -> Iterator[Body]:
        """An object of at most `limit_bytes`, to be read from beginning to end; with `etag`, only if it is still that one.

        Raises:
            ObjectMissing: it is not there, or has another ETag.
            ObjectTooLarge: it is longer; nothing of it was read.
        """
        response = self._get(key, etag)
        with closing(
            Body(blobs=self, key=key, etag=response["ETag"], begin=0, nbytes=response["ContentLength"], stream=response["Body"])
        ) as body:
            if body.nbytes > limit_bytes:
                raise ObjectTooLarge(f"{key}: expected at most {limit_bytes} bytes, got {body.nbytes}")
            yield body

    def read(self, key: str, limit_bytes: int, *, etag: str | None = None) -> bytearray:
        """A whole object of at most `limit_bytes`; with `etag`, only if it is still that one.

        Raises:
            ObjectMissing: it is not there, or has another ETag.
            ObjectTooLarge: it is longer; nothing of it was read.
        """
        with self.open(key, limit_bytes, etag=etag) as body:
            data = bytearray(body.nbytes)
            body.fill(memoryview(data))
            return data

    def read_into(self, view: memoryview, key: str, begin: int, *, etag: str | None = None) -> None:
        """Fill memory with the bytes of an object from `begin` on; with `etag`, only if it is still that one.

        Raises:
            ObjectMissing: it is not there, has another ETag, or is shorter.
        """
        with closing(Body(blobs=self, key=key, etag=etag, begin=begin, nbytes=len(view))) as body:
            body.fill(view)

    def read_head(self, key: str, nbytes: int) -> bytes:
        """The first `nbytes` of an object, or all of it when it is shorter.

        Raises:
            ObjectMissing: it is not there, or empty.
        """
        response = self._get(key, None, f"bytes=0-{nbytes - 1}")
        with closing(
            Body(blobs=self, key=key, etag=response["ETag"], begin=0, nbytes=response["ContentLength"], stream=response["Body"])
        ) as body:
            data = bytearray(body.nbytes)
            body.fill(memoryview(data))
            return bytes(data)

    def names(self, prefix: str) -> set[str]:
        """The keys of all objects under a prefix."""
        return {stored.key for page in self.pages(prefix) for stored in page}

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Stored]]:
        """The objects whose keys begin with `prefix` and follow `after`, in the order of their keys, `LIST_PAGE` at a time.

        What is deleted between two pages does not disturb those that follow: a page begins behind the last key of the one
        before (Amazon S3: "ListObjectsV2", `StartAfter`).
        """
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix, "MaxKeys": LIST_PAGE}
        while True:
            begin = {"StartAfter": after} if after else {}
            page = insist(self.client.list_objects_v2, "KeyCount", "IsTruncated", **request, **begin)
            found = [Stored(item["Key"], item["LastModified"]) for item in page.get("Contents", [])]
            if found:
                yield found
            if not page["IsTruncated"]:
                return
            after = found[-1].key

    def put_once(self, key: str, data: bytes) -> bool:
        """Write an object if there is none under this key; False when there already was one.

        A racing writer makes S3 answer 409; that is raised, and the step is taken again.
        """
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        try:
            insist(self.client.put_object, Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*", ChecksumSHA256=checksum)
        except self.client.exceptions.ClientError as error:
            if status_of(error) == 412:
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
            response = insist(self.client.delete_objects, Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
            if response.get("Errors"):
                raise RuntimeError(f"S3 did not delete {response['Errors'][0].get('Key')}: {response['Errors'][0].get('Code')}")

    def _get(self, key: str, etag: str | None, byte_range: str | None = None) -> Any:
        request: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        if etag:
            request["IfMatch"] = etag
        if byte_range:
            request["Range"] = byte_range
        try:
            return insist(self.client.get_object, "Body", "ContentLength", "ETag", **request)
        except self.client.exceptions.ClientError as error:
            if status_of(error) in (404, 412, 416):
                raise ObjectMissing(key) from error
            raise


class Body:
    """A range of an object that is being read. Where the connection breaks, it is read on, as if nothing had been."""

    def __init__(self, *, blobs: Blobs, key: str, etag: str | None, begin: int, nbytes: int, stream: Any = None) -> None:
        """`nbytes` bytes from `begin` on. `stream` is what S3 answered, if it was asked already; `etag` is the object's, or the
        one that is wanted.
        """
        self.nbytes = nbytes
        self._blobs = blobs
        self._key = key
        self._etag = etag
        self._begin = begin
        self._stream = stream
        self._read = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of a buffer; 0 at the end.

        Raises:
            ObjectMissing: it is not there, is no longer the one that was begun, or ends before.
            EOFError, botocore.exceptions.BotoCoreError: the connection broke at the same place again and again.
        """
        wanted = buffer[: min(READ_BYTES, self.nbytes - self._read)]
        if not wanted:
            return 0
        try:
            got = self._once(wanted)
        except _breaks():
            got = Retrying(
                retry=retry_if_exception_type(_breaks()),
                stop=stop_after_attempt(READ_ATTEMPTS - 1),
                wait=wait_random_exponential(multiplier=0.1, max=5.0),
                reraise=True,
            )(self._once, wanted)
        self._read += got
        return got

    def fill(self, view: memoryview) -> None:
        """Fill a whole buffer, which is no longer than what is left."""
        got = 0
        while got < len(view):
            more = self.readinto(view[got:])
            if not more:
                raise EOFError(f"expected {len(view)} bytes, got {got}")
            got += more

    def close(self) -> None:
        """Give the connection back, or up."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _once(self, buffer: memoryview) -> int:
        if self._stream is None:
            self._stream = self._again()
        try:
            got: int = self._stream.readinto(buffer)
            if not got:
                raise EOFError(f"{self._key}: expected {self.nbytes} bytes from {self._begin} on, got {self._read}")
        except BaseException:
            self.close()
            raise
        return got

    def _again(self) -> Any:
        """What is left of it, asked for anew."""
        first, last = self._begin + self._read, self._begin + self.nbytes - 1
        response = self._blobs._get(self._key, self._etag, f"bytes={first}-{last}")
        if response["ContentLength"] != last - first + 1:
            response["Body"].close()
            raise ObjectMissing(
                f"{self._key}: expected {last - first + 1} bytes from {first} on, got {response['ContentLength']}"
            )
        self._etag = response["ETag"]
        return response["Body"]


def _breaks() -> tuple[type[Exception], ...]:
    """What is raised where a connection breaks: botocore repeats a request, but not one whose answer breaks off."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError
    from urllib3.exceptions import HTTPError

    return HTTPClientError, IncompleteReadError, HTTPError, EOFError


def status_of(error: Any) -> int:
    """The HTTP status with which S3 refused a request."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
