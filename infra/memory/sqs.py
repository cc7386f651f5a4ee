"""SQS: standard queues, whose messages are handed out in the order in which they came, and again when nobody deletes them.

AWS promises neither that order nor a single delivery; a test that needs the opposite makes it by itself. What it does not
do: wait for messages, delay all of a queue, or forget them after days.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

from infra.memory.service import ACCOUNT, REGION, Answer, Request, Service, ServiceError

BATCH = 10
"""Messages that one request sends or receives (Amazon SQS: "Amazon SQS message quotas")."""

MESSAGE_BYTES = 1 << 20
"""Of one message, and of all messages of a batch (the same page)."""

LONGEST_VISIBILITY_SECONDS = 43_200
LONGEST_DELAY_SECONDS = 900

DEFAULTS = {"VisibilityTimeout": "30", "DelaySeconds": "0", "MessageRetentionPeriod": "345600", "SqsManagedSseEnabled": "true",
            "MaximumMessageSize": str(MESSAGE_BYTES), "ReceiveMessageWaitTimeSeconds": "0"}  # fmt: skip


@dataclass(slots=True)
class Message:
    """A message; nobody sees it before `visible_at`. `receipt` is of the last time that it was handed out."""

    body: str
    visible_at: float
    message_id: str = field(default_factory=lambda: str(uuid4()))
    received: int = 0
    receipt: str = ""


@dataclass(slots=True)
class MessageQueue:
    """A queue: its attributes, and its messages in order."""

    name: str
    attributes: dict[str, str]
    messages: list[Message] = field(default_factory=list)
    receipts: dict[str, Message] = field(default_factory=dict)
    """By every receipt that was ever given out."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self.name}"

    @property
    def arn(self) -> str:
        """Its name in all of AWS."""
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}"


class SQS(Service):
    """All queues."""

    CALLS: ClassVar = {
        "CreateQueue": "QueueName Attributes",
        "GetQueueUrl": "QueueName",
        "ListQueues": "",
        "GetQueueAttributes": "QueueUrl AttributeNames",
        "PurgeQueue": "QueueUrl",
        "SendMessage": "QueueUrl MessageBody DelaySeconds",
        "SendMessageBatch": "QueueUrl Entries",
        "ReceiveMessage": "QueueUrl MaxNumberOfMessages VisibilityTimeout WaitTimeSeconds",
        "DeleteMessage": "QueueUrl ReceiptHandle",
        "ChangeMessageVisibility": "QueueUrl ReceiptHandle VisibilityTimeout",
    }

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._machine = now
        self.time: float | None = None
        """In seconds, where somebody else than the machine says what time it is."""
        self._queues: dict[str, MessageQueue] = {}

    def _now(self) -> float:
        return self._machine() if self.time is None else self.time

    def deliver(self, arn: str, body: str) -> None:
        """Put a message on the queue of this name, as a topic does."""
        with self._lock:
            self._send(next(queue for queue in self._queues.values() if queue.arn == arn), body)

    # ---- queues

    def create_queue(self, request: Request) -> Answer:
        name, attributes = request["QueueName"], request.get("Attributes", {})
        if unknown := attributes.keys() - DEFAULTS.keys() - {"RedrivePolicy"}:
            raise NotImplementedError(f"a queue with {', '.join(sorted(unknown))} is not made in this process")
        if attributes.get("DelaySeconds", "0") != "0":
            raise NotImplementedError("no queue delays all its messages in this process")
        found = self._queues.get(name)
        if found and any(found.attributes.get(key) != value for key, value in attributes.items()):
            says = f"A queue already exists with the same name and a different value: {name}"
            raise ServiceError("QueueAlreadyExists", says, known_as="QueueNameExists")
        made = self._queues.setdefault(name, MessageQueue(name, DEFAULTS | attributes))
        return {"QueueUrl": made.url}

    def get_queue_url(self, request: Request) -> Answer:
        if request["QueueName"] not in self._queues:
            raise _no_queue()
        return {"QueueUrl": self._queues[request["QueueName"]].url}

    def list_queues(self, _: Request) -> Answer:
        return {"QueueUrls": [queue.url for queue in self._queues.values()]} if self._queues else {}

    def get_queue_attributes(self, request: Request) -> Answer:
        queue, now = self._queue(request), self._now()
        hidden = sum(message.visible_at > now for message in queue.messages)
        known = queue.attributes | {
            "QueueArn": queue.arn,
            "ApproximateNumberOfMessages": str(len(queue.messages) - hidden),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "ApproximateNumberOfMessagesDelayed": "0",
        }
        wanted = request.get("AttributeNames", [])
        if "All" in wanted:
            return {"Attributes": known}
        for name in wanted:
            if name not in (*known, "RedrivePolicy"):
                raise NotImplementedError(f"{name} of a queue is not known in this process")
        return {"Attributes": {name: known[name] for name in wanted if name in known}} if wanted else {}

    def purge_queue(self, request: Request) -> Answer:
        self._queue(request).messages.clear()
        return {}

    # ---- messages

    def send_message(self, request: Request) -> Answer:
        body = request["MessageBody"]
        if not body:
            raise ServiceError("MissingParameter", "The request must contain the parameter MessageBody.")
        if len(body.encode()) > MESSAGE_BYTES:
            says = f"One or more parameters are invalid. Reason: Message must be shorter than {MESSAGE_BYTES} bytes."
            raise ServiceError("InvalidParameterValue", says)
        delay = request.get("DelaySeconds", 0)
        if not 0 <= delay <= LONGEST_DELAY_SECONDS:
            says = f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
            raise ServiceError("InvalidParameterValue", says)
        return self._send(self._queue(request), body, delay)

    def send_message_batch(self, request: Request) -> Answer:
        queue, entries = self._queue(request), request["Entries"]
        ids = [entry["Id"] for entry in entries]
        if not entries:
            raise _batch("EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request.")
        if len(entries) > BATCH:
            says = f"Maximum number of entries per request are {BATCH}. You have sent {len(entries)}."
            raise _batch("TooManyEntriesInBatchRequest", says)
        if twice := [one for number, one in enumerate(ids) if one in ids[:number]]:
            raise _batch("BatchEntryIdsNotDistinct", f"Id {twice[0]} repeated.")
        total = sum(len(entry["MessageBody"].encode()) for entry in entries)
        if total > MESSAGE_BYTES:
            says = f"Batch requests cannot be longer than {MESSAGE_BYTES} bytes. You have sent {total} bytes."
            raise _batch("BatchRequestTooLong", says)
        if unknown := {name for entry in entries for name in entry} - {"Id", "MessageBody"}:
            raise NotImplementedError(f"a message with {', '.join(sorted(unknown))} is not sent in this process")
        return {"Successful": [{"Id": entry["Id"], **self._send(queue, entry["MessageBody"])} for entry in entries]}

    def receive_message(self, request: Request) -> Answer:
        queue, now = self._queue(request), self._now()
        most = request.get("MaxNumberOfMessages", 1)
        if not 1 <= most <= BATCH:
            says = f"Value {most} for parameter MaxNumberOfMessages is invalid. Reason: must be between 1 and {BATCH}."
            raise ServiceError("InvalidParameterValue", says)
        if request.get("WaitTimeSeconds", 0):
            raise NotImplementedError("nobody waits for a message in this process")
        seconds = request.get("VisibilityTimeout", int(queue.attributes["VisibilityTimeout"]))
        found: list[Message] = []
        for message in list(queue.messages):
            if len(found) == most:
                break
            if message.visible_at <= now and not self._gave_up(queue, message):
                found.append(message)
        for message in found:
            message.received += 1
            message.visible_at = now + seconds
            message.receipt = f"{message.message_id}#{message.received}"
            queue.receipts[message.receipt] = message
        return {"Messages": [_handed_out(message) for message in found]} if found else {}

    def delete_message(self, request: Request) -> Answer:
        queue = self._queue(request)
        message = _received(queue, request)
        if message.receipt == request["ReceiptHandle"] and message in queue.messages:
            queue.messages.remove(message)  # with an older receipt, SQS may or may not delete it
        return {}

    def change_message_visibility(self, request: Request) -> Answer:
        queue, seconds, now = self._queue(request), request["VisibilityTimeout"], self._now()
        if not 0 <= seconds <= LONGEST_VISIBILITY_SECONDS:
            says = f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200."
            raise ServiceError("InvalidParameterValue", says)
        message = _received(queue, request)
        if message not in queue.messages:
            says = "Message does not exist or is not available for visibility timeout change."
            raise ServiceError("InvalidParameterValue", f"Value for parameter ReceiptHandle is invalid. Reason: {says}")
        if message.visible_at <= now:
            raise _batch("MessageNotInflight", "The specified message isn't in flight.")
        message.visible_at = now + seconds
        return {}

    # ---- parts

    def _queue(self, request: Request) -> MessageQueue:
        for queue in self._queues.values():
            if queue.url == request["QueueUrl"]:
                return queue
        raise _no_queue()

    def _send(self, queue: MessageQueue, body: str, delay_seconds: int = 0) -> Answer:
        message = Message(body, self._now() + delay_seconds)
        queue.messages.append(message)
        return {"MessageId": message.message_id, "MD5OfMessageBody": _md5(body)}

    def _gave_up(self, queue: MessageQueue, message: Message) -> bool:
        """Whether a message was handed out too often, and lies in another queue now (Amazon SQS: "dead-letter queues")."""
        policy: dict[str, Any] = json.loads(queue.attributes.get("RedrivePolicy", "{}"))
        if not policy or message.received < int(policy["maxReceiveCount"]):
            return False
        queue.messages.remove(message)
        target = next(other for other in self._queues.values() if other.arn == policy["deadLetterTargetArn"])
        target.messages.append(message)
        return True


def _received(queue: MessageQueue, request: Request) -> Message:
    if request["ReceiptHandle"] not in queue.receipts:
        raise ServiceError("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
    return queue.receipts[request["ReceiptHandle"]]


def _handed_out(message: Message) -> Answer:
    return {
        "MessageId": message.message_id, "ReceiptHandle": message.receipt, "MD5OfBody": _md5(message.body), "Body": message.body
    }  # fmt: skip


def _no_queue() -> ServiceError:
    return _batch("NonExistentQueue", "The specified queue does not exist.", "QueueDoesNotExist")


def _batch(code: str, message: str, known_as: str | None = None) -> ServiceError:
    return ServiceError(f"AWS.SimpleQueueService.{code}", message, known_as=known_as or code)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
