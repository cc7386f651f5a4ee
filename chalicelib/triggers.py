"""Between SQS and the use cases: one message at a time, and each failure its own retry."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chalice.app import SQSEvent

from chalicelib.log import log


def each_message(event: SQSEvent, handle: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Handle each message of a batch, and answer which ones SQS should deliver again.

    A failed message comes back after its visibility timeout and, when it has failed often enough, goes to the dead-letter
    queue, which has an alarm (AWS: "Reporting batch item failures"). The others of its batch are done.
    """
    failures = []
    for record in event:
        try:
            handle(json.loads(record.body))
        except Exception:  # noqa: BLE001 (logged, and left to the queue to deliver again)
            message_id = record.to_dict()["messageId"]
            log.exception("message %s failed and will be delivered again", message_id)
            failures.append({"itemIdentifier": message_id})
    return {"batchItemFailures": failures}
