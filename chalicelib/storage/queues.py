"""Messages to the workers. A message only points at something stored: it may come twice, late, or never."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


class Queue:
    """One SQS queue of JSON messages."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, message: Mapping[str, str | int]) -> None:
        """Put one message on the queue."""
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(message))
