"""A terminal before a world, and a folder to export to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet import World
from tests.operator.terminal import Terminal


@pytest.fixture
def muster(world: World) -> Terminal:
    return Terminal(world)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exported"
