"""What a round uses, by its size (pure): measured by `make bench-cost` on 2026-11-29, and held against it by a test.

The units of calls are exact; seconds of Lambda are those of the machine on which it ran, with the times of calls that
`bench.cost.assumptions` has.
"""

from __future__ import annotations

from muster.pricing.guesses import UPDATE_DAYS
from muster.pricing.usage import DAYS, GB, Usage, added, times, usage

PARTICIPANT = usage(
    api_requests=3, lambda_requests=4, lambda_gb_seconds=0.36, dynamodb_write_units=14, dynamodb_read_units=6,
    s3_put_requests=1, s3_get_requests=4, sqs_requests=3, log_gb=2.4e-6, traces=1.15, egress_gb=3e-6,
)  # fmt: skip
"""Who checks in, downloads the model, uploads an update, and reports it; and its inspection."""

JUDGE = usage(
    api_requests=3, lambda_requests=3, lambda_gb_seconds=0.117, dynamodb_write_units=11, dynamodb_read_units=2,
    s3_get_requests=1, log_gb=1.8e-6, traces=0.15, egress_gb=3e-6,
)  # fmt: skip
"""Who measures the candidate, and downloads it; the deployed version it has."""

ROUND = usage(
    lambda_requests=4, lambda_gb_seconds=2.0, dynamodb_write_units=103.5, dynamodb_read_units=96, s3_get_requests=3,
    s3_put_requests=6, sqs_requests=3, log_gb=2.4e-6, traces=1, kms_signatures=1, metric_requests=1,
)  # fmt: skip
"""Each round by itself: its opening, its sum, its version, its deployment, its record."""

UPDATE_BYTE = usage(lambda_gb_seconds=1.33e-7)
"""A byte of an update that is inspected and added up."""


def of_round(*, participants: float, judges: float, model_bytes: float, downloads: float = 1.0) -> Usage:
    """A round.

    Args:
        participants: whose updates come.
        judges: who measure the candidate.
        model_bytes: of the model, and of an update to it.
        downloads: the share of a checkpoint that a device fetches; with deltas, less than all of it.
    """
    fetched = usage(egress_gb=model_bytes * downloads * (participants + judges) / GB)
    kept = usage(s3_gb_months=model_bytes * participants * UPDATE_DAYS / DAYS / GB)
    summed = times(UPDATE_BYTE, model_bytes * participants)
    return added(times(PARTICIPANT, participants), times(JUDGE, judges), ROUND, summed, fetched, kept)
