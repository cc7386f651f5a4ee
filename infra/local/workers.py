"""What SQS event sources and EventBridge do: hand messages to the app's handlers, and fire its schedules.

The triggers are those that `app.py` declares. A handler that raises leaves its messages to come back after their visibility
timeout; one that names failures leaves those. A queue that does not answer is asked again a little later. Stops on SIGTERM,
between two invocations, and when its parent is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from chalice.app import ScheduledEventConfig, SQSEventConfig
from chalice.local import LambdaContext

import app as functions

log = logging.getLogger("muster.local")

LONGEST_WAIT_SECONDS = 1

SHORTEST_BREAK_SECONDS, LONGEST_BREAK_SECONDS = 0.1, 5.0
"""Between two attempts at a queue that does not answer; each is twice as long as the one before."""


def pump(source: SQSEventConfig, stop: threading.Event) -> None:
    """Hand the messages of one queue to its handler, batch after batch, through whatever trouble the queue has."""
    sqs, troubles = boto3.client("sqs"), 0
    while not stop.is_set():
        try:
            hand_over(sqs, source)
        except (BotoCoreError, ClientError):
            log.exception("the queue %s does not answer", source.queue)
            stop.wait(min(LONGEST_BREAK_SECONDS, SHORTEST_BREAK_SECONDS * 2**troubles))
            troubles += 1
        else:
            troubles = 0


def hand_over(sqs: Any, source: SQSEventConfig) -> None:
    """Hand one batch of messages to its handler, if some come soon, and delete those that it is done with."""
    url = sqs.get_queue_url(QueueName=str(source.queue))["QueueUrl"]
    received = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=min(source.batch_size, 10),
        WaitTimeSeconds=LONGEST_WAIT_SECONDS,
        AttributeNames=["ApproximateReceiveCount"],
    ).get("Messages", [])
    if not received:
        return
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
        return
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
    """Run every trigger of the app until told to stop; end when one of them died, which is a bug."""
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
    died = False
    while not stop.wait(1.0):
        died = not all(thread.is_alive() for thread in threads)
        if died or os.getppid() != parent:
            stop.set()
    for thread in threads:
        thread.join()
    if died:
        sys.exit("a trigger died")


if __name__ == "__main__":
    main()
