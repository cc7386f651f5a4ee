"""SNS: topics, and queues that are subscribed to them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

from infra.memory.service import ACCOUNT, REGION, Answer, Request, Service, ServiceError
from infra.memory.sqs import SQS

LONGEST_SUBJECT = 99
"""Characters, all of them ASCII and none a line break (SNS API: "Publish", Subject: fewer than 100)."""

MESSAGE_BYTES = 256 * 1024
"""SNS API: "Publish"."""


class SNS(Service):
    """All topics."""

    CALLS: ClassVar = {
        "CreateTopic": "Name Attributes",
        "ListTopics": "",
        "Subscribe": "TopicArn Protocol Endpoint",
        "Publish": "TopicArn Subject Message MessageStructure",
    }

    def __init__(self, queues: SQS) -> None:
        super().__init__()
        self._queues = queues
        self._subscribed: dict[str, dict[str, str]] = {}

    def create_topic(self, request: Request) -> Answer:
        if unknown := request.get("Attributes", {}).keys() - {"KmsMasterKeyId"}:
            raise NotImplementedError(f"a topic with {', '.join(sorted(unknown))} is not made in this process")
        arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{request['Name']}"
        self._subscribed.setdefault(arn, {})
        return {"TopicArn": arn}

    def list_topics(self, _: Request) -> Answer:
        return {"Topics": [{"TopicArn": arn} for arn in self._subscribed]}

    def subscribe(self, request: Request) -> Answer:
        if request["Protocol"] != "sqs":
            raise NotImplementedError(f"{request['Protocol']} is not subscribed to a topic in this process")
        subscribed = self._topic(request)
        subscribed.setdefault(request["Endpoint"], f"{request['TopicArn']}:{uuid4()}")
        return {"SubscriptionArn": subscribed[request["Endpoint"]]}

    def publish(self, request: Request) -> Answer:
        subscribed, subject, message = self._topic(request), request.get("Subject"), request["Message"]
        if not message:
            raise _invalid("Empty message")
        if len(message.encode()) > MESSAGE_BYTES:
            raise _invalid("Message too long")
        if subject is not None and (
            not 1 <= len(subject) <= LONGEST_SUBJECT or not subject.isascii() or not subject.isprintable()
        ):
            raise _invalid("Subject")
        if (structure := request.get("MessageStructure")) is not None:
            message = _of_a_queue(structure, message)
        message_id = str(uuid4())
        said: dict[str, Any] = {"Type": "Notification", "MessageId": message_id, "TopicArn": request["TopicArn"]}
        said |= {"Subject": subject} if subject is not None else {}
        said |= {"Message": message, "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        for arn in subscribed:
            self._queues.deliver(arn, json.dumps(said))
        return {"MessageId": message_id}

    def _topic(self, request: Request) -> dict[str, str]:
        if request["TopicArn"] not in self._subscribed:
            raise ServiceError("NotFound", "Topic does not exist", 404)
        return self._subscribed[request["TopicArn"]]


def _of_a_queue(structure: str, message: str) -> str:
    """What a queue gets of a message that says something else to each protocol (SNS API: "Publish", MessageStructure)."""
    if structure != "json":
        raise _invalid("MessageStructure")
    try:
        said = json.loads(message)
    except ValueError as unlike:
        raise _invalid("Message Structure - JSON message body failed to parse") from unlike
    if not isinstance(said, dict) or not isinstance(said.get("default"), str):
        raise _invalid("Message Structure - No default entry in JSON message body")
    return str(said.get("sqs", said["default"]))


def _invalid(what: str) -> ServiceError:
    return ServiceError("InvalidParameter", f"Invalid parameter: {what}")
