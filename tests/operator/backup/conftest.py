"""A stack with a past."""

from __future__ import annotations

import pytest

from muster import Device
from tests.fleet import World
from tests.operator.backup.stacks import lived


@pytest.fixture
def old(world: World) -> tuple[World, list[Device]]:
    return world, world.relive(lived)
