"""S3: objects that are uploaded in parts (Amazon S3: "Uploading and copying objects using multipart upload")."""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar
from urllib.parse import unquote
from uuid import uuid4

from infra.memory.s3.buckets import Bucket, MultipartUpload, ObjectVersion, read_body
from infra.memory.s3.refusals import missing_key, missing_upload, precondition
from infra.memory.service import Answer, Request, ServiceError

PART_BYTES = 5 << 20
"""What every part but the last has at least (Amazon S3: "Amazon S3 multipart upload limits")."""

MOST_PARTS = 10_000


class Multipart:
    """The calls of multipart uploads, for a class that has buckets."""

    CALLS: ClassVar = {
        "CreateMultipartUpload": "Bucket Key ContentEncoding",
        "UploadPart": "Bucket Key UploadId PartNumber Body",
        "UploadPartCopy": "Bucket Key UploadId PartNumber CopySource CopySourceRange",
        "CompleteMultipartUpload": "Bucket Key UploadId MultipartUpload IfNoneMatch",
        "AbortMultipartUpload": "Bucket Key UploadId",
        "ListMultipartUploads": "Bucket",
    }

    _buckets: dict[str, Bucket]

    def _bucket(self, request: Request) -> Bucket:
        raise NotImplementedError

    def create_multipart_upload(self, request: Request) -> Answer:
        bucket = self._bucket(request)
        made = MultipartUpload(request["Key"], uuid4().hex, bucket.now(), request.get("ContentEncoding"))
        bucket.uploads[made.upload_id] = made
        return {"Bucket": bucket.name, "Key": made.key, "UploadId": made.upload_id}

    def upload_part(self, request: Request) -> Answer:
        return {"ETag": _kept(self._upload(request), request["PartNumber"], read_body(request.get("Body", b"")))}

    def upload_part_copy(self, request: Request) -> Answer:
        upload = self._upload(request)
        name, _, key = unquote(request["CopySource"]).partition("/")
        source = self._bucket({"Bucket": name}).get(key)
        if source is None:
            raise missing_key()
        content = source.content
        if "CopySourceRange" in request:
            if len(content) <= PART_BYTES:  # "UploadPartCopy", x-amz-copy-source-range
                raise ServiceError("InvalidRequest", "The specified copy source is not supported as a byte-range copy source")
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", request["CopySourceRange"])
            if not found or not int(found[1]) <= int(found[2]) < len(content):
                says = "The x-amz-copy-source-range value must be of the form bytes=first-last and inside of the object"
                raise ServiceError("InvalidArgument", says)
            content = content[int(found[1]) : int(found[2]) + 1]
        etag = _kept(upload, request["PartNumber"], content)
        return {"CopyPartResult": {"ETag": etag, "LastModified": self._bucket(request).now()}}

    def complete_multipart_upload(self, request: Request) -> Answer:
        bucket, upload = self._bucket(request), self._upload(request)
        wanted = request.get("MultipartUpload", {}).get("Parts", [])
        numbers = [part["PartNumber"] for part in wanted]
        if not wanted:
            raise ServiceError(
                "MalformedXML", "The XML you provided was not well-formed or did not validate against our schema"
            )
        if any(upload.parts.get(part["PartNumber"], (b"", ""))[1] != part["ETag"] for part in wanted):
            says = "One or more of the specified parts could not be found. The part might not have been uploaded, or the "
            raise ServiceError("InvalidPart", f"{says}specified entity tag might not have matched the part's entity tag.")
        if numbers != sorted(set(numbers)):
            raise ServiceError("InvalidPartOrder", "The list of parts was not in ascending order.")
        parts = [upload.parts[number] for number in numbers]
        if any(len(body) < PART_BYTES for body, _ in parts[:-1]):
            raise ServiceError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.")
        precondition(bucket.get(upload.key), request.get("IfNoneMatch"))
        digests = b"".join(bytes.fromhex(etag.strip('"')) for _, etag in parts)
        etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'
        made = bucket.put(upload.key, b"".join(body for body, _ in parts), etag=etag, encoding=upload.encoding)
        del bucket.uploads[upload.upload_id]
        where = {"Location": f"https://{bucket.name}.s3.amazonaws.com/{made.key}", "Bucket": bucket.name, "Key": made.key}
        return {**where, "ETag": etag, **self._version(bucket, made)}

    def abort_multipart_upload(self, request: Request) -> Answer:
        del self._bucket(request).uploads[self._upload(request).upload_id]
        return {}

    def list_multipart_uploads(self, request: Request) -> Answer:
        bucket = self._bucket(request)
        found = sorted(bucket.uploads.values(), key=lambda upload: upload.key)
        if len(found) > 1000:
            raise NotImplementedError("a second page of uploads is not listed in this process")
        uploads = [{"Key": one.key, "UploadId": one.upload_id, "Initiated": one.begun_at} for one in found]
        return {"Bucket": bucket.name, "IsTruncated": False, "MaxUploads": 1000} | ({"Uploads": uploads} if uploads else {})

    def _upload(self, request: Request) -> MultipartUpload:
        found = self._bucket(request).uploads.get(request["UploadId"])
        if found is None or found.key != request["Key"]:
            raise missing_upload()
        return found

    @staticmethod
    def _version(bucket: Bucket, made: ObjectVersion) -> Answer:
        return {"VersionId": made.version_id} if bucket.keeps_versions else {}


def _kept(upload: MultipartUpload, number: int, body: bytes) -> str:
    """Keep a part, in the place of one of the same number; its ETag."""
    if not 1 <= number <= MOST_PARTS:
        raise ServiceError("InvalidArgument", f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive")
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    upload.parts[number] = (body, etag)
    return etag
