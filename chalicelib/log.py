"""Logs: one JSON object a line, with round, client and request ids; never keys, URLs or tensors.

Nobody logs a secret on purpose: credentials print without theirs, and bodies and URLs are not logged. The formatter is the net
below that, for what an exception's message may carry. Chalice's own logger is this one too, because it has the app's name.
"""

from __future__ import annotations

import logging
import re

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

_SECRETS = (
    (re.compile(r"X-Amz-(Signature|Credential|Security-Token)=[^&\s\"'\\]+", re.IGNORECASE), r"X-Amz-\1=…"),
    (re.compile(r"\b([A-Za-z0-9][A-Za-z0-9_-]{2,63})\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), r"\1.…"),
)
"""Presigned URLs, and credentials: a public id, a dot, and 256 bits in base64."""


class Scrubbing(LambdaPowertoolsFormatter):
    """JSON lines without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = super().format(record)
        for pattern, instead in _SECRETS:
            line = pattern.sub(instead, line)
        return line


log = Logger(service="muster", logger_formatter=Scrubbing(utc=True))
