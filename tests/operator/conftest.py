"""A terminal before a world."""

from __future__ import annotations

import pytest

from tests.fleet import World
from tests.operator.terminal import Terminal


@pytest.fixture
def muster(world: World) -> Terminal:
    return Terminal(world)
