"""S3, for a presigned URL: what a GET and a PUT of one are answered with.

Held against the request are the headers that were signed (Amazon S3: "Authenticating Requests: Using Query Parameters"): each
must be there, and no other `x-amz-` header may be. A length must be the body's. Not looked at are the signature itself and its
time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from infra.memory.service import ServiceError

PARAMETERS = {
    "content-encoding": "ContentEncoding",
    "content-type": "ContentType",
    "if-none-match": "IfNoneMatch",
    "x-amz-checksum-sha256": "ChecksumSHA256",
}
"""What headers of a PUT are as parameters."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to an HTTP request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


Make = Callable[[str, dict[str, Any]], Mapping[str, Any]]
"""Makes a call of S3 by its name and its parameters."""


def answer(make: Make, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
    """Answer a request of `https://bucket.s3.region.amazonaws.com/key`, making the call that its signer allowed.

    Raises:
        NotImplementedError: it is no GET or PUT.
    """
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    given = {"host": parts.netloc} | {name.lower(): value for name, value in headers.items()}
    request: dict[str, Any] = {"Bucket": str(parts.hostname).partition(".")[0], "Key": unquote(parts.path.lstrip("/"))}
    try:
        _hold(query, given, body)
        if method == "PUT":
            request |= {word: given[header] for header, word in PARAMETERS.items() if header in given} | {"Body": body}
            return Answered(200, {"ETag": make("PutObject", request)["ETag"]})
        if method != "GET":
            raise NotImplementedError(f"{method} of a presigned URL is not answered by the store in this process")
        if "response-content-encoding" in query:
            request["ResponseContentEncoding"] = query["response-content-encoding"]
        if "range" in given:
            request["Range"] = given["range"]
        found = make("GetObject", request)
    except ServiceError as refused:
        return Answered(refused.status)
    said = {"ETag": found["ETag"], "Content-Length": str(found["ContentLength"])}
    for member, header in (("ContentEncoding", "Content-Encoding"), ("ContentRange", "Content-Range")):
        if member in found:
            said[header] = found[member]
    return Answered(206 if "ContentRange" in found else 200, said, found["Body"].read())


def _hold(query: Mapping[str, str], given: Mapping[str, str], body: bytes) -> None:
    """Hold the headers against those that were signed.

    Raises:
        ServiceError: one is missing, the length is not the body's, or S3 has a header that was not signed.
    """
    signed = query.get("X-Amz-SignedHeaders", "").split(";")
    missing = [name for name in signed if name and name not in given]
    unsigned = [name for name in given if name.startswith("x-amz-") and name not in signed]
    if "X-Amz-Signature" not in query or missing or unsigned:
        raise ServiceError("AccessDenied", f"There were headers present in the request which were not signed: {unsigned}", 403)
    if given.get("content-length", str(len(body))) != str(len(body)):
        raise ServiceError("SignatureDoesNotMatch", "The request signature we calculated does not match", 403)
