"""An AWS account for tests of what is asked of one."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError


class Aws:
    """An account whose answers a test decides."""

    id = "123456789012"
    region = "eu-central-1"
    profile = None

    def __init__(self, *, unreserved: int = 1000, bucket: int = 404) -> None:
        self._unreserved = unreserved
        self._bucket = bucket

    def client(self, service: str) -> Aws:
        assert service in ("s3", "lambda")
        return self

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self._unreserved}}

    def head_bucket(self, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:  # noqa: N803 (boto3's words)
        if self._bucket != 200:
            raise ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": self._bucket}}, "HeadBucket")  # type: ignore[typeddict-item]
