"""Messages to people: one SNS topic, to which an operator subscribes an address, a pager or a queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.storage.answers import insist

if TYPE_CHECKING:
    from mypy_boto3_sns.client import SNSClient

LONGEST_SUBJECT = 99
"""Characters (SNS API: "Publish": fewer than 100, ASCII)."""


class Topic:
    """One SNS topic."""

    def __init__(self, client: SNSClient, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, subject: str, message: Mapping[str, Any]) -> None:
        """Publish one message, as JSON."""
        text = json.dumps(message)
        insist(self._client.publish, "MessageId", TopicArn=self._arn, Subject=subject[:LONGEST_SUBJECT], Message=text)
