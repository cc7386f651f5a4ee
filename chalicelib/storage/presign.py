"""The two URLs that a device ever gets: one GET of a checkpoint, one PUT of one update.

Signed by botocore's signer without an S3 client, which costs 0.1 ms and no cold start. SigV4 binds every header that is
given here, so the PUT is good for exactly the declared length and content, and only while nothing lies under the key
(AWS: "Authenticating Requests: Using Query Parameters"; "Conditional writes"). S3 refuses headers of its own (`x-amz-…`) that
are not signed, and the bucket's policy refuses those again that could make an update unreadable. Others, `Content-Encoding`
for example, are kept beside the object, and nobody acts on them.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from botocore.credentials import Credentials


class Presigner:
    """Signs URLs of one bucket with the function's own credentials."""

    def __init__(self, *, credentials: Credentials, region: str, bucket: str, endpoint: str | None, seconds: int) -> None:
        self._credentials = credentials
        self._region = region
        self._base = f"{endpoint}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.amazonaws.com"
        self.seconds = seconds

    def get(self, key: str) -> str:
        """A URL that reads one object, as the bytes that were stored: a device may have said anything of their encoding.

        The answer's `Content-Encoding` is the one that is asked for here (Amazon S3: "GetObject", `response-content-encoding`).
        """
        return self._sign("GET", key, {}, "?response-content-encoding=identity")

    def put(self, key: str, nbytes: int, sha256: str) -> tuple[str, dict[str, str]]:
        """A URL that writes one object once, and the headers that must go with it.

        `nbytes` is the body's length, `sha256` its digest in hex.
        """
        headers = {
            "Content-Length": str(nbytes),
            "If-None-Match": "*",
            "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        }
        return self._sign("PUT", key, headers), headers

    def _sign(self, method: str, key: str, headers: dict[str, str], query: str = "") -> str:
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method=method, url=f"{self._base}/{quote(key)}{query}", headers=headers)
        S3SigV4QueryAuth(self._credentials, "s3", self._region, expires=self.seconds).add_auth(request)
        return str(request.url)
