"""Messages to the workers. A message only points at something stored: it may come twice, late, or never."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.storage.answers import insist

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

SEND_BATCH = 10
"""Messages that one request takes (Amazon SQS: "SendMessageBatch")."""


class Queue:
    """One SQS queue of JSON messages."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, message: Mapping[str, str | int], delay_seconds: int = 0) -> None:
        """Put one message on the queue, where nobody sees it before so many seconds have passed."""
        later: Any = {"DelaySeconds": delay_seconds} if delay_seconds else {}
        insist(self._client.send_message, "MessageId", QueueUrl=self._url, MessageBody=json.dumps(message), **later)

    def waiting(self) -> int:
        """About how many messages nobody has taken yet (Amazon SQS: "GetQueueAttributes", `ApproximateNumberOfMessages`)."""
        wanted: Any = "ApproximateNumberOfMessages"
        answer = insist(self._client.get_queue_attributes, "Attributes", QueueUrl=self._url, AttributeNames=[wanted])
        return int(answer["Attributes"][wanted])

    def send_all(self, messages: Iterable[Mapping[str, str | int]]) -> None:
        """Put many messages on the queue.

        Raises:
            RuntimeError: SQS did not take one of them; others may be on the queue.
        """
        everything = list(messages)
        for start in range(0, len(everything), SEND_BATCH):
            entries: list[Any] = [
                {"Id": str(number), "MessageBody": json.dumps(message)}
                for number, message in enumerate(everything[start : start + SEND_BATCH])
            ]
            answer = insist(self._client.send_message_batch, "Successful", QueueUrl=self._url, Entries=entries)
            if failed := answer.get("Failed"):
                raise RuntimeError(f"SQS did not take {len(failed)} messages: {failed[0].get('Code')}")
