"""What cannot be measured on one machine. Each number is a guess that is written down; change it and see what it does."""

from __future__ import annotations

LATENCY_SECONDS = {"dynamodb": 0.005, "s3": 0.030, "sqs": 0.010, "sns": 0.020, "cloudwatch": 0.030, "kms": 0.010}
"""A call's way there and back inside a region. Transactions, and writes to S3, take twice as long."""

CLIENT_CPU_SECONDS = 0.001
"""Of a whole core, in each call, for botocore to sign, write and parse it. The emulator's time is left out by the meter, and
botocore's with it."""

BYTES_PER_SECOND = 75e6
"""Between a function and S3; Lambda's network is said to have 600 Mbit/s."""

COLD_SHARE, COLD_SECONDS = 0.01, 1.0
"""Of invocations, and what the start of an instance adds to their billed time (the INIT phase is billed)."""

TRACED_SHARE = 0.05
"""Of requests to the API. X-Ray's default rule traces the first in each second too, so of few requests it traces all; messages
are all traced."""

SUM_DAYS = 2
"""The same of a partial sum."""

KMS_CACHE_SECONDS = 300
"""How long DynamoDB keeps a table's key for a caller before it asks KMS again ("DynamoDB encryption at rest usage notes")."""

FLEET_METRICS = 4
"""Of a model's clients: how many, how many are active, rows that cannot be read, and trouble of a rollout."""

NEWS_HOURS = 24 * 7
"""A fleet of which nothing changes is sent to CloudWatch once in so long, and a metric is billed for the hour in which it is
sent (Amazon CloudWatch pricing: metrics "are prorated by the hour"). One whose devices are on is taken to change every hour."""

ROUND_MINUTES = 10
"""From opening to the decision. So long, a device that runs the SDK's loop asks once a minute whether there is
work, where its rounds need all of the fleet; while training rests, its heartbeats are enough."""

DISK_GB = 30
"""Of the server that is compared."""
