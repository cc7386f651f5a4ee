"""What an invocation uses, as it goes: calls by AWS's own units, and whose they are.

    with measuring(...) as metered:      an invocation; there is one at a time in a function instance
        charge("toy", 13)                what follows is for this round
        ... every call of a watched client is counted ...
    metered.shares                       what was used, by model and round

Ambient, as the log is: whoever does work for a model says so, and nobody passes a meter along. Outside of an invocation nothing
is counted. DynamoDB itself says what a call took (`ConsumedCapacity`); of a refused write it does not, which is taken for the
least that it can have been. What else AWS bills is one request a call.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from muster.pricing import guesses
from muster.pricing.usage import GB, Usage, added, times, usage

Kind = Literal["http", "sqs", "schedule"]

Charged = tuple[str | None, int | None]
"""A model and its round; without a round it is for the model between rounds, without a model for the stack."""

NOBODY: Charged = (None, None)

MOST_UNITS = 100_000
"""That one call can have taken: a hundred items of 400 KB, twice in a transaction, are a fifth of it."""

MOST_RETRIES = 10

FREE = ("DeleteObjects", "DeleteObject", "AbortMultipartUpload")
"""Of S3 ("Amazon S3 pricing")."""


@dataclass(slots=True, kw_only=True)
class Metered:
    """What an invocation has used so far."""

    counted: dict[Charged, Usage] = field(default_factory=dict)
    now: Charged = NOBODY
    charged: set[Charged] = field(default_factory=set)
    """For whom there was something to do."""
    answered: int = 0
    """Requests that were answered, and not by saying that the server failed."""
    failed: int = 0
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def count(self, amounts: Mapping[str, float], who: Charged | None = None) -> None:
        """Count for somebody, or for whom the work is now. Parts of an aggregation are read by several threads."""
        with self.one_at_a_time:
            whose = who or self.now
            self.counted[whose] = added(self.counted.get(whose, Usage()), amounts)

    @property
    def shares(self) -> dict[Charged, Usage]:
        """What was used, by model and round. What was for nobody is shared by all for whom there was something to do."""
        common, sharing = self.counted.get(NOBODY, Usage()), self.charged or {NOBODY}
        parts = dict.fromkeys(sharing, times(common, 1 / len(sharing)))
        own = {who: used for who, used in self.counted.items() if who != NOBODY}
        return {who: added(parts.get(who, Usage()), own.get(who, Usage())) for who in parts.keys() | own.keys()}


_running: list[Metered] = []


@contextmanager
def measuring(
    kind: Kind,
    *,
    memory_mb: int,
    stopwatch: Callable[[], float],
    traces: Callable[[], float],
    ended: Callable[[Metered], None],
) -> Iterator[Metered]:
    """Count what an invocation uses, its own bill included: the request, its time by its memory, its log and its trace.

    Args:
        kind: what invoked it.
        memory_mb: of the function, as it is billed.
        stopwatch: seconds; what passes between two looks is billed.
        traces: how many traces of X-Ray it makes.
        ended: is given what was used, however it ended.
    """
    metered, began = Metered(), stopwatch()
    _running.append(metered)
    try:
        yield metered
    finally:
        _running.remove(metered)
        metered.now = NOBODY
        seconds = math.ceil(round(max(0.0, stopwatch() - began) * 1000, 6)) / 1000
        metered.count(
            usage(
                lambda_requests=1,
                lambda_gb_seconds=seconds * memory_mb / 1024,
                log_gb=guesses.LOG_BYTES / GB,
                traces=traces(),
                api_requests=kind == "http",
                sqs_requests=2 * (kind == "sqs"),  # Lambda receives a batch, and deletes it
            )
        )
        ended(metered)


def charge(model: str | None, number: int | None = None) -> None:
    """Say for whom the work is from now on. What was counted before for nobody stays common."""
    for metered in _running:
        metered.now = (model, number)
        if model is not None:
            metered.charged.add(metered.now)


def note(amounts: Mapping[str, float], model: str | None = None) -> None:
    """Count what no call of this function shows: what a device will ask of S3 with the URLs that it was given. It is for whom
    the work is now, or for a model, if one is named.
    """
    for metered in _running:
        metered.count(amounts, (model, None) if model else None)


def watch(client: Any) -> Any:
    """A boto3 client whose calls are counted from now on; the client itself. Twice is once."""
    client.meta.events.register_first("after-call", _called, unique_id="muster-metered")
    return client


def _called(parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
    if _running:
        note(amounts(model.service_model.service_name, model.name, parsed))


def amounts(service: str, operation: str, parsed: Mapping[str, Any]) -> Usage:
    """What AWS bills for a call. What was sent more than once is billed as often. An answer may be broken: then it is taken for
    one that says nothing.
    """
    metadata = parsed.get("ResponseMetadata")
    retries = metadata.get("RetryAttempts") if isinstance(metadata, Mapping) else None
    sent = 1 + (retries if isinstance(retries, int) and 0 <= retries <= MOST_RETRIES else 0)
    match service:
        case "dynamodb":
            reads = operation in ("GetItem", "BatchGetItem", "Query")
            return usage(**{"dynamodb_read_units" if reads else "dynamodb_write_units": _units(parsed)})
        case "s3":
            if operation in FREE:
                return Usage()
            reads = operation in ("GetObject", "HeadObject")
            return usage(**{"s3_get_requests" if reads else "s3_put_requests": sent})
        case "sqs":
            return usage(sqs_requests=sent)
        case "sns":
            return usage(sns_requests=sent, kms_requests=sent)
        case "kms":
            return usage(kms_signatures=sent)  # to read the public key costs as much
        case "cloudwatch":
            return usage(metric_requests=sent)
    return Usage()


def _units(parsed: Mapping[str, Any]) -> float:
    said = parsed.get("ConsumedCapacity")
    each = said if isinstance(said, list) else [said]
    units = [one.get("CapacityUnits") for one in each if isinstance(one, Mapping)]
    known = [unit for unit in units if isinstance(unit, (int, float)) and 0 <= unit <= MOST_UNITS]
    if known:
        return float(sum(known))
    reasons = parsed.get("CancellationReasons")
    return 2.0 * len(reasons) if isinstance(reasons, list) and reasons else 1.0
