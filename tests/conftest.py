"""Fixtures: AWS credentials that are none, and a world to play in."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.update(
    AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="us-east-1", AWS_CONFIG_FILE="/dev/null"
)
from tests.fleet import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()
