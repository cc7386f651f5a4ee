"""Messages to people: one SNS topic, to which an operator subscribes an address, a pager or a queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.storage.answers import insist

if TYPE_CHECKING:
    from mypy_boto3_sns.client import SNSClient

LONGEST_SUBJECT = 99
"""Characters (SNS API: "Publish": fewer than 100, ASCII, no line break)."""

LONGEST_SMS = 140
"""Bytes of a text message (SNS API: "Publish", Message)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is said in a line, to people at length, and to machines."""

    subject: str
    people: str
    machines: Mapping[str, Any]


class Topic:
    """One SNS topic."""

    def __init__(self, client: SNSClient, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, message: Notice) -> str:
        """Publish a message, and return SNS's id of it: mail gets the text, a phone the subject, all others JSON (SNS API:
        "Publish", MessageStructure).
        """
        subject = " ".join(message.subject.encode("ascii", "replace").decode().split())
        said = {"default": json.dumps(message.machines), "email": message.people, "sms": subject[:LONGEST_SMS]}
        answer = insist(
            self._client.publish,
            "MessageId",
            TopicArn=self._arn,
            Subject=subject[:LONGEST_SUBJECT],
            Message=json.dumps(said),
            MessageStructure="json",
        )
        return str(answer["MessageId"])
