"""What a stack uses while nobody trains, in a month of 730 hours (pure): what is there, and what looks after it."""

from __future__ import annotations

from collections.abc import Mapping

from muster.pricing.usage import GB, MONTH_HOURS, Usage, times, usage

MINUTES = MONTH_HOURS * 60

ALARMS = 10
"""Of CloudWatch, in a stack (`infra/resources.yaml`)."""

POLLERS, POLL_SECONDS, QUEUES = 5, 20, 2
"""Lambda polls an idle queue by five long polls at a time, of 20 s each (AWS Lambda: "Using Lambda with Amazon SQS";
"Polling and batching streams": it begins with five concurrent batches)."""

TABLE_BYTES = 0.05e9
"""What lies in the four tables of a small fleet; point-in-time recovery keeps as much."""

TICK = usage(lambda_requests=1, lambda_gb_seconds=0.092, dynamodb_read_units=3, dynamodb_write_units=0.22, log_gb=6e-7)
MONITOR = usage(lambda_requests=1, lambda_gb_seconds=0.109, dynamodb_read_units=15.5, dynamodb_write_units=3.5, log_gb=6e-7)
"""Of one run with nothing to do, of a model with 50 clients that rest (`make bench-cost`, 2026-11-29). Functions count these
themselves: they are in what a stack has spent."""

CLIENT_BYTES = 600
"""Of a client's row, which the census reads at half a unit for 4 KiB."""

CENSUS_SECONDS, ROWS_A_SECOND = 300.0, 1_000
"""How often a fleet is counted: once in so long, or, if it is large, so many rows in a second."""


def polls() -> float:
    """Empty receives in a month."""
    return POLLERS * QUEUES * MONTH_HOURS * 3600 / POLL_SECONDS


def there(*, alarms: int, keys: int) -> Mapping[str, Usage]:
    """What is billed for being there, by cause. No function sees it, so none counts it."""
    return {
        "polling of two queues": usage(sqs_requests=polls()),
        "alarms": usage(alarm_months=alarms),
        "tables and their recovery": usage(dynamodb_gb_months=TABLE_BYTES / GB, dynamodb_recovery_gb_months=TABLE_BYTES / GB),
        "the key that signs deployments": usage(kms_key_months=keys),
    }


def schedules(clients: float) -> Mapping[str, Usage]:
    """What the tick and the monitor use that find nothing to do, and the count of so many clients."""
    rows = MONTH_HOURS * 3600 * min(clients / CENSUS_SECONDS, ROWS_A_SECOND)
    return {
        "ticks": times(TICK, MINUTES),
        "monitor": times(MONITOR, MINUTES),
        "census": usage(dynamodb_read_units=rows * CLIENT_BYTES / 4096 / 2),
    }
