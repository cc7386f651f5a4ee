"""What SQS event sources and EventBridge do: hand messages to the app's handlers, and fire its schedules.

The triggers are those that `app.py` declares. A handler that raises leaves its messages to come back after their visibility
timeout; one that names failures leaves those. Stops on SIGTERM, between two invocations, and when its parent is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import boto3
from chalice.app import ScheduledEventConfig, SQSEventConfig
from chalice.local import LambdaContext

import app as functions

log = logging.getLogger("muster.local")

LONGEST_WAIT_SECONDS = 1


def pump(source: SQSEventConfig, stop: threading.Event) -> None:
    """Hand the messages of one queue to its handler, batch after batch."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=str(source.queue))["QueueUrl"]
    while not stop.is_set():
        received = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(source.batch_size, 10),
            WaitTimeSeconds=LONGEST_WAIT_SECONDS,
            AttributeNames=["ApproximateReceiveCount"],
        ).get("Messages", [])
        if not received:
            continue
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for message in received
        ]
        answer = invoke(source.handler_string, {"Records": records})
        if answer is FAILED:
            continue
        failed = {failure["itemIdentifier"] for failure in (answer or {}).get("batchItemFailures", [])}
        for message in received:
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def fire(source: ScheduledEventConfig, seconds: float, stop: threading.Event) -> None:
    """Fire a schedule every `seconds`, whatever interval it declares."""
    while not stop.wait(seconds):
        invoke(source.handler_string, {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})


FAILED = object()


def invoke(handler_string: str, event: dict[str, Any]) -> Any:
    """Call a handler as Lambda would: its exception is logged, and is this invocation's failure, not the worker's."""
    name = handler_string.rpartition(".")[2]
    handler: Callable[[Any, Any], Any] = getattr(functions, name)
    full = {"version": "0", "account": "", "region": "", "time": "", "id": "", "resources": [], **event}
    try:
        return handler(full, LambdaContext(name, 1024, 900_000))
    except Exception:
        log.exception("%s failed", name)
        return FAILED


def main() -> None:
    """Run every trigger of the app until told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    tick_seconds = float(os.environ["MUSTER_TICK_SECONDS"])
    threads: list[threading.Thread] = []
    for source in functions.app.event_sources:
        if isinstance(source, SQSEventConfig):
            threads.append(threading.Thread(target=pump, args=(source, stop), name=source.name))
        elif isinstance(source, ScheduledEventConfig):
            threads.append(threading.Thread(target=fire, args=(source, tick_seconds, stop), name=source.name))
        else:
            raise NotImplementedError(f"the local cloud has no {type(source).__name__}")
    for thread in threads:
        thread.start()
    while not stop.wait(1.0):
        if os.getppid() != parent or not all(thread.is_alive() for thread in threads):
            stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
