"""Time: always passed in, always UTC, always written in one sortable form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer

Clock = Callable[[], datetime]
"""Answers the present instant, in UTC. Rules and use cases never ask the machine themselves."""


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def text(instant: datetime) -> str:
    """`2026-11-24T03:41:15.123456Z`: fixed width, so that comparing text compares time, also inside a DynamoDB condition."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Instant = Annotated[AwareDatetime, PlainSerializer(text)]
"""A datetime that a row stores in that form."""
