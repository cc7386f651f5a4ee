"""One cloud for all tests that only use it; it ticks, so it is there no longer than they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import LocalCloud


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who uses it runs in the process that has it."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("cloud"))


@pytest.fixture(scope="package")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud whose ticks are so far apart that most of its work is what tests ask for."""
    with LocalCloud(api_processes=2, tick_seconds=0.6) as made:
        yield made
