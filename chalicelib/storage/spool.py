"""An object that is written piece by piece, and whose name is known when its content is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from chalicelib.storage.blobs import Blobs, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PIECE_BYTES = 64 << 20
"""What of it is held in memory; of 10,000 such pieces an object may have (Amazon S3: "Multipart upload limits")."""

COPY_BYTES = 1 << 30
"""What is copied by one request."""


class Spool:
    """An object that is written piece by piece and hashed on the way. A short one is kept here and put at once.

    A long one goes, as a multipart upload, under a staging key that is this writer's own; from there the store copies it to
    where its content says that it belongs. Two writers of the same content do not touch each other's pieces, and the first to
    give it its name wins. What a writer that dies leaves, the bucket's lifecycle removes.
    """

    def __init__(self, blobs: Blobs, staging_prefix: str) -> None:
        self._client = blobs.client
        self._blobs = blobs
        self._where: dict[str, Any] = {"Bucket": blobs.bucket, "Key": f"{staging_prefix}/{uuid4()}"}
        self._hash = hashlib.sha256()
        self._piece = bytearray()
        self._upload: str | None = None
        self._parts: list[Any] = []
        self.nbytes = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what was not kept."""
        if self._upload is not None:
            self._client.abort_multipart_upload(**self._where, UploadId=self._upload)

    @property
    def sha256(self) -> str:
        """Digest (hex) of what was written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Append some bytes."""
        self._hash.update(data)
        self._piece += data
        self.nbytes += len(data)
        while len(self._piece) >= PIECE_BYTES:
            self._send(PIECE_BYTES)

    def keep_as(self, key: str) -> None:
        """Make it the object of this name, unless there is one."""
        if self._upload is None:
            self._blobs.put_once(key, bytes(self._piece))
            return
        if self._piece:
            self._send(len(self._piece))
        upload, self._upload = {**self._where, "UploadId": self._upload}, None
        _complete(self._client, upload, self._parts)
        if self._blobs.stat(key) is None:
            self._copy(key)
        self._blobs.delete([self._where["Key"]])

    def _send(self, count: int) -> None:
        if self._upload is None:
            self._upload = self._client.create_multipart_upload(**self._where)["UploadId"]
        number = len(self._parts) + 1
        part = {**self._where, "UploadId": self._upload, "PartNumber": number, "Body": bytes(self._piece[:count])}
        self._parts.append({"PartNumber": number, "ETag": self._client.upload_part(**part)["ETag"]})
        del self._piece[:count]

    def _copy(self, key: str) -> None:
        """Copy the staged object, inside the store."""
        where: dict[str, Any] = {"Bucket": self._blobs.bucket, "Key": key}
        upload = {**where, "UploadId": self._client.create_multipart_upload(**where)["UploadId"]}
        parts = []
        for number, begin in enumerate(range(0, self.nbytes, COPY_BYTES), 1):
            last = min(begin + COPY_BYTES, self.nbytes) - 1
            source: dict[str, Any] = {"CopySource": self._where, "CopySourceRange": f"bytes={begin}-{last}"}
            copied = self._client.upload_part_copy(**upload, **source, PartNumber=number)
            parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
        _complete(self._client, upload, parts)


def _complete(client: S3Client, upload: Any, parts: list[Any]) -> None:
    """End a multipart upload, unless there is an object under its key already; then the upload is dropped."""
    try:
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    except client.exceptions.ClientError as error:
        client.abort_multipart_upload(**upload)
        if status_of(error) != 412:
            raise
