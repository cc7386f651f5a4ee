"""A bucket and a queue of a store, with short ways to speak to them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.stores.contract.places import Place

PART = 5 << 20
"""Bytes of the shortest part of an upload but the last (Amazon S3: "Multipart upload limits")."""


class Bucket:
    """A new bucket, and short ways to speak to it."""

    def __init__(self, place: Place) -> None:
        self.s3 = place.client("s3")
        self.name = f"b-{uuid4().hex}"
        self.s3.create_bucket(Bucket=self.name)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.s3, operation)(Bucket=self.name, **request)
        return answer

    def put(self, key: str, body: Any = b"", **request: Any) -> dict[str, Any]:
        return self.call("put_object", Key=key, Body=body, **request)

    def read(self, key: str, **request: Any) -> bytes:
        content: bytes = self.call("get_object", Key=key, **request)["Body"].read()
        return content

    def keys(self, **request: Any) -> list[str]:
        return [found["Key"] for found in self.call("list_objects_v2", **request).get("Contents", [])]


class Queue:
    """A new queue, and short ways to speak to it."""

    def __init__(self, place: Place, **attributes: str) -> None:
        self.sqs = place.client("sqs")
        self.name = f"q-{uuid4().hex}"
        self.url = self.sqs.create_queue(QueueName=self.name, Attributes=attributes)["QueueUrl"]

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.sqs, operation)(QueueUrl=self.url, **request)
        return answer

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.call("send_message", MessageBody=body)

    def receive(self, most: int = 10, **request: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("receive_message", MaxNumberOfMessages=most, **request).get("Messages", [])
        return found

    def bodies(self, most: int = 10, **request: Any) -> list[str]:
        return [message["Body"] for message in self.receive(most, **request)]

    def attributes(self, *names: str) -> dict[str, str]:
        found: dict[str, str] = self.call("get_queue_attributes", AttributeNames=list(names)).get("Attributes", {})
        return found
