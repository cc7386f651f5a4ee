"""What is billed and cannot be counted by a function while it runs. Each number is a guess that is written down."""

from __future__ import annotations

LOG_BYTES = 600
"""An invocation's lines in the log: Lambda's own three, and one of ours."""

HEADER_BYTES = 500
"""Of an answer of the API: what API Gateway sends before its body."""

UPDATE_DAYS = 2
"""How long S3 keeps, and bills, an update: deleted when its round has ended, its old version expires a day later."""
