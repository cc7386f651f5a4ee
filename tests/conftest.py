"""Fixtures: AWS credentials that are none, and a world to play in."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

os.environ.update(
    AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="us-east-1", AWS_CONFIG_FILE="/dev/null",
    OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1",  # each core has a process of its own
)  # fmt: skip
import botocore.session

from infra import interpreter
from tests.fleet import World

# A slow machine is no failure.
settings.register_profile("muster", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("muster")


# Each session of botocore would read the models of its services anew.
botocore.session.create_loader = cache(botocore.session.create_loader)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that make what Lambda gets need Lambda's own Python. Where there is none they are left out, and say so; but never
    where a change is decided about (`MUSTER_LAMBDA_PYTHON=required`).
    """
    wanting = [item for item in items if item.get_closest_marker("lambda_python")]
    if not wanting or os.environ.get("MUSTER_LAMBDA_PYTHON") == "required":
        return
    try:
        interpreter.find()
    except interpreter.NoInterpreter as none:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=str(none)))


def pytest_collection_finish() -> None:
    """What was imported and collected stays, so no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_world_is_left_behind() -> Iterator[None]:
    """A world that a test made and, failing, did not close is closed here; one of a whole module stays."""
    before = list(World.alive)
    yield
    for left in [world for world in reversed(World.alive) if world not in before]:
        left.close()
