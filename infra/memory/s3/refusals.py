"""How S3 refuses (Amazon S3: "Error responses")."""

from __future__ import annotations

import base64
import binascii
import hashlib

from infra.memory.s3.buckets import ObjectVersion
from infra.memory.service import ServiceError


def missing_bucket() -> ServiceError:
    """There is no such bucket."""
    return ServiceError("NoSuchBucket", "The specified bucket does not exist", 404)


def missing_key() -> ServiceError:
    """There is no such object."""
    return ServiceError("NoSuchKey", "The specified key does not exist.", 404)


def missing_upload() -> ServiceError:
    """There is no such multipart upload, or no longer."""
    says = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
    return ServiceError("NoSuchUpload", says, 404)


def precondition(there: ObjectVersion | None, if_none_match: str | None) -> None:
    """Hold a write against If-None-Match (Amazon S3: "How to prevent object overwrites with conditional writes").

    Raises:
        ServiceError: there is an object.
    """
    if if_none_match is None:
        return
    if if_none_match != "*":
        raise ServiceError("NotImplemented", "A header you provided implies functionality that is not implemented", 501)
    if there is not None:
        raise ServiceError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)


def bad_digest(body: bytes, sha256: str) -> None:
    """Hold a body against the digest (base64) that came with it (Amazon S3: "Checking object integrity").

    Raises:
        ServiceError: it is another's, or no digest.
    """
    try:
        wanted = base64.b64decode(sha256, validate=True)
    except binascii.Error:
        wanted = b""
    if len(wanted) != hashlib.sha256().digest_size:
        raise ServiceError("InvalidRequest", "Value for x-amz-checksum-sha256 header is invalid.")
    if hashlib.sha256(body).digest() != wanted:
        raise ServiceError("BadDigest", "The SHA256 you specified did not match the calculated checksum.")
