"""Around every invocation, whatever it is of: what it uses is measured, and what was measured before is written down."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from chalice.app import Request, SQSEvent

from chalicelib.metering import Kind, Metered, measuring
from chalicelib.settings import Settings
from chalicelib.spending import Ledger
from muster.pricing.guesses import HEADER_BYTES
from muster.pricing.usage import GB, usage


class Platform(Protocol):
    """What runs the functions, and bills their time."""

    def stopwatch(self) -> float:
        """Seconds, of which differences are billed."""
        ...

    def memory_mb(self, context: Any) -> int:
        """Of the function whose context this is."""
        ...

    def traces(self) -> float:
        """How many traces this invocation makes."""
        ...


class Lambda:
    """AWS Lambda."""

    def __init__(self) -> None:
        self._is_cold = True

    def stopwatch(self) -> float:
        """Seconds. In front of the first look lies the start of the instance, which is billed too: about as long as the
        processor was busy with it.
        """
        before = time.process_time() if self._is_cold else 0.0
        self._is_cold = False
        return time.monotonic() - before

    def memory_mb(self, context: Any) -> int:
        """AWS Lambda: "Using the Lambda context object", `memory_limit_in_mb`."""
        return int(context.memory_limit_in_mb)

    def traces(self) -> float:
        """X-Ray decides before the function begins (AWS X-Ray: "Tracing header")."""
        return float("Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", ""))


class Metering(Protocol):
    """What is needed of a function instance."""

    @property
    def settings(self) -> Settings:
        """Whether it is to count."""
        ...

    @property
    def platform(self) -> Platform:
        """What runs it."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What it has counted."""
        ...


def metered(event: Any, proceed: Callable[[Any], Any], instance: Metering) -> Any:
    """Let an invocation proceed, and note what it used, however it ends. What earlier ones used is written down before that, if
    it is time: that is part of the bill too.
    """
    if not instance.settings.metering:
        return proceed(event)
    kind: Kind = "http" if isinstance(event, Request) else "sqs" if isinstance(event, SQSEvent) else "schedule"
    context = event.lambda_context if isinstance(event, Request) else event.context
    platform = instance.platform
    memory_mb = platform.memory_mb(context)
    with measuring(
        kind, memory_mb=memory_mb, stopwatch=platform.stopwatch, traces=platform.traces, ended=instance.ledger.keep
    ) as measured:
        answer = proceed(event)
        if kind == "http":
            _note_answer(measured, answer)
        instance.ledger.write_due()
        return answer


def _note_answer(measured: Metered, answer: Any) -> None:
    body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    measured.count(usage(egress_gb=(len(body.encode()) + HEADER_BYTES) / GB))
    if answer.status_code >= 500:
        measured.failed += 1
    else:
        measured.answered += 1
