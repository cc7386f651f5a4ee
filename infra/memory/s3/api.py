"""S3: objects that are put, read, listed and deleted. Multipart uploads are in `multipart`, presigned URLs in `presigned`.

What it does not do: expire objects, encrypt, look at policies, or be late. Of a bucket's
settings only versioning changes anything.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import ClassVar

from botocore.response import StreamingBody

from infra.memory.s3.buckets import Bucket, ObjectVersion, read_body
from infra.memory.s3.multipart import Multipart
from infra.memory.s3.refusals import bad_digest, missing_bucket, missing_key, precondition
from infra.memory.service import Answer, Request, Service, ServiceError, utc_now

LIST_PAGE = 1000
"""Keys that one answer lists (Amazon S3: "ListObjectsV2")."""

DELETE_BATCH = 1000
"""Keys that one request deletes (Amazon S3: "DeleteObjects")."""

OBJECT_BYTES = 5 << 30
"""What one PutObject takes (Amazon S3: "Uploading objects")."""

_SETTINGS = {
    "PutPublicAccessBlock": "PublicAccessBlockConfiguration",
    "PutBucketOwnershipControls": "OwnershipControls",
    "PutBucketLifecycleConfiguration": "LifecycleConfiguration",
    "PutBucketEncryption": "ServerSideEncryptionConfiguration",
}


class S3(Multipart, Service):
    """All buckets."""

    CALLS: ClassVar = {
        "CreateBucket": "Bucket",
        "HeadBucket": "Bucket",
        "ListBuckets": "",
        "PutBucketVersioning": "Bucket VersioningConfiguration",
        **{call: f"Bucket {setting}" for call, setting in _SETTINGS.items()},
        "PutObject": "Bucket Key Body ContentLength ContentEncoding ContentType IfNoneMatch ChecksumSHA256 ChecksumAlgorithm",
        "HeadObject": "Bucket Key IfMatch ChecksumMode",
        "GetObject": "Bucket Key Range IfMatch ChecksumMode ResponseContentEncoding",
        "DeleteObject": "Bucket Key VersionId",
        "DeleteObjects": "Bucket Delete ChecksumAlgorithm",
        "ListObjectsV2": "Bucket Prefix MaxKeys StartAfter ContinuationToken",
        "ListObjectVersions": "Bucket",
        **Multipart.CALLS,
    }

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__()
        self._now = now
        self._buckets: dict[str, Bucket] = {}

    # ---- buckets

    def create_bucket(self, request: Request) -> Answer:
        name = request["Bucket"]
        self._buckets.setdefault(name, Bucket(name, self._now))  # in us-east-1 its owner may make it again
        return {"Location": f"/{name}"}

    def head_bucket(self, request: Request) -> Answer:
        if request["Bucket"] not in self._buckets:
            raise ServiceError("404", "Not Found", 404)
        return {}

    def list_buckets(self, _: Request) -> Answer:
        return {"Buckets": [{"Name": name} for name in sorted(self._buckets)]}

    def put_bucket_versioning(self, request: Request) -> Answer:
        if request["VersioningConfiguration"] != {"Status": "Enabled"}:
            raise NotImplementedError("versions are kept or were never kept; other settings are not known in this process")
        self._bucket(request).keeps_versions = True
        return {}

    def put_public_access_block(self, request: Request) -> Answer:
        return self._set(request, "PutPublicAccessBlock")

    def put_bucket_ownership_controls(self, request: Request) -> Answer:
        return self._set(request, "PutBucketOwnershipControls")

    def put_bucket_lifecycle_configuration(self, request: Request) -> Answer:
        return self._set(request, "PutBucketLifecycleConfiguration")

    def put_bucket_encryption(self, request: Request) -> Answer:
        return self._set(request, "PutBucketEncryption")

    def _set(self, request: Request, call: str) -> Answer:
        self._bucket(request).settings[call] = request[_SETTINGS[call]]
        return {}

    # ---- objects

    def put_object(self, request: Request) -> Answer:
        bucket, body = self._bucket(request), read_body(request.get("Body", b""))
        if len(body) > OBJECT_BYTES:
            raise ServiceError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
        if request.get("ContentLength", len(body)) != len(body):
            raise ServiceError(
                "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"
            )
        if request.get("ChecksumAlgorithm", "SHA256") != "SHA256":
            raise NotImplementedError(f"checksum {request['ChecksumAlgorithm']} is not computed in this process")
        checksum = request.get("ChecksumSHA256")
        if checksum is not None:
            bad_digest(body, checksum)
        elif "ChecksumAlgorithm" in request:
            checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        precondition(bucket.get(request["Key"]), request.get("IfNoneMatch"))
        about = {"sha256": checksum, "encoding": request.get("ContentEncoding")}
        if "ContentType" in request:
            about["kind"] = request["ContentType"]
        made = bucket.put(request["Key"], body, **about)
        return {"ETag": made.etag, **_checksum(made), **self._version(bucket, made)}

    def head_object(self, request: Request) -> Answer:
        bucket, key = self._buckets.get(request["Bucket"]), request["Key"]
        found = bucket.get(key) if bucket else None
        if bucket is None or found is None:
            raise ServiceError("404", "Not Found", 404)
        if request.get("IfMatch", found.etag) != found.etag:
            raise ServiceError("412", "Precondition Failed", 412)
        return self._described(bucket, found, request) | {"ContentLength": len(found.content)}

    def get_object(self, request: Request) -> Answer:
        bucket = self._bucket(request)
        found = bucket.get(request["Key"])
        if found is None:
            raise missing_key()
        if request.get("IfMatch", found.etag) != found.etag:
            raise ServiceError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
        answer, content = self._described(bucket, found, request), found.content
        if "Range" in request:
            first, last = _range(request["Range"], len(content))
            answer["ContentRange"] = f"bytes {first}-{last}/{len(content)}"
            content = content[first : last + 1]
            answer = {name: said for name, said in answer.items() if not name.startswith("Checksum")}  # it is of the whole
        if "ResponseContentEncoding" in request:
            answer["ContentEncoding"] = request["ResponseContentEncoding"]
        body = StreamingBody(io.BytesIO(content), len(content))
        return answer | {"ContentLength": len(content), "Body": body}

    def delete_object(self, request: Request) -> Answer:
        return self._deleted(self._bucket(request), request["Key"], request.get("VersionId"))

    def delete_objects(self, request: Request) -> Answer:
        bucket, wanted = self._bucket(request), request["Delete"]["Objects"]
        if len(wanted) > DELETE_BATCH or not wanted:
            says = "The XML you provided was not well-formed or did not validate against our published schema"
            raise ServiceError("MalformedXML", says)
        done = []
        for one in wanted:
            marker = self._deleted(bucket, one["Key"], one.get("VersionId"))
            said = {"DeleteMarker": True, "DeleteMarkerVersionId": marker["VersionId"]} if marker.get("DeleteMarker") else {}
            done.append({**one, **said})
        return {} if request["Delete"].get("Quiet") else {"Deleted": done}

    @staticmethod
    def _deleted(bucket: Bucket, key: str, version_id: str | None) -> Answer:
        if version_id is not None:
            bucket.forget(key, version_id)
            return {"VersionId": version_id}
        marker = bucket.delete(key)
        return {"DeleteMarker": True, "VersionId": marker.version_id} if marker else {}

    # ---- lists

    def list_objects_v2(self, request: Request) -> Answer:
        bucket = self._bucket(request)
        prefix, most = request.get("Prefix", ""), min(request.get("MaxKeys", LIST_PAGE), LIST_PAGE)
        token = request.get("ContinuationToken")
        after = base64.b64decode(token).decode() if token else request.get("StartAfter", "")
        keys = list(islice(bucket.keys(prefix, after), most + 1))
        contents = [self._listed(bucket.get(key)) for key in keys[:most]]
        answer: Answer = {
            "Name": bucket.name, "Prefix": prefix, "MaxKeys": most, "KeyCount": len(contents),
            "IsTruncated": len(keys) > most > 0,
        }  # fmt: skip
        if contents:
            answer["Contents"] = contents
        if answer["IsTruncated"]:
            answer["NextContinuationToken"] = base64.b64encode(keys[most - 1].encode()).decode()
        return answer | {name: request[name] for name in ("StartAfter", "ContinuationToken") if name in request}

    def list_object_versions(self, request: Request) -> Answer:
        bucket = self._bucket(request)
        versions, markers = [], []
        for version, newest in bucket.versions():
            said = {"VersionId": version.version_id, "IsLatest": newest}
            if version.body is None:
                markers.append({"Key": version.key, "LastModified": version.modified_at, **said})
            else:
                versions.append(self._listed(version) | said)
        if len(versions) + len(markers) > LIST_PAGE:
            raise NotImplementedError("a second page of versions is not listed in this process")
        answer: Answer = {"Name": bucket.name, "Prefix": "", "MaxKeys": LIST_PAGE, "IsTruncated": False}
        return answer | {name: found for name, found in (("Versions", versions), ("DeleteMarkers", markers)) if found}

    # ---- parts

    def _bucket(self, request: Request) -> Bucket:
        if request["Bucket"] not in self._buckets:
            raise missing_bucket()
        return self._buckets[request["Bucket"]]

    def _described(self, bucket: Bucket, found: ObjectVersion, request: Request) -> Answer:
        answer: Answer = {
            "AcceptRanges": "bytes", "LastModified": found.modified_at, "ETag": found.etag, "ContentType": found.kind,
            "Metadata": {}, **self._version(bucket, found),
        }  # fmt: skip
        if found.encoding is not None:
            answer["ContentEncoding"] = found.encoding
        return answer | (_checksum(found) if request.get("ChecksumMode") == "ENABLED" else {})

    @staticmethod
    def _listed(found: ObjectVersion | None) -> Answer:
        if found is None:
            raise AssertionError("a key is listed of an object that is not there")
        return {
            "Key": found.key, "LastModified": found.modified_at, "ETag": found.etag, "Size": len(found.content),
            "StorageClass": "STANDARD",
        }  # fmt: skip


def _checksum(version: ObjectVersion) -> Answer:
    return {"ChecksumSHA256": version.sha256, "ChecksumType": "FULL_OBJECT"} if version.sha256 else {}


def _range(wanted: str, length: int) -> tuple[int, int]:
    """The first and the last byte of a range (RFC 9110, section 14.1.2)."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    if not found or found[1] == found[2] == "":
        raise NotImplementedError(f"Range {wanted} is not answered by the store in this process")
    first = int(found[1]) if found[1] else max(0, length - int(found[2]))
    last = min(int(found[2]), length - 1) if found[1] and found[2] else length - 1
    if first >= length or last < first:
        raise ServiceError("InvalidRange", "The requested range is not satisfiable", 416)
    return first, last
