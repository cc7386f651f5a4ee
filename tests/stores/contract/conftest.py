"""Fixtures of the contract: each test runs on each store."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.stores.contract.lacks import reason
from tests.stores.contract.places import ALL, OF_ROWS, Place, Rows, opened
from tests.stores.contract.shorthand import Bucket


@pytest.fixture(params=ALL)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A store of everything."""
    with opened(request.param) as found:
        yield found


@pytest.fixture(params=OF_ROWS)
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    """A new table."""
    with opened(request.param) as found:
        made = Rows(found)
        yield made
        made.call("delete_table")


@pytest.fixture
def bucket(place: Place) -> Bucket:
    """A new bucket."""
    return Bucket(place)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a store is known to lack must fail there."""
    for item in items:
        where = store_and_case(item)
        if where and (why := reason(where[0], item.nodeid.rpartition("::")[2].partition("[")[0], where[1])):
            item.add_marker(pytest.mark.xfail(strict=True, reason=f"{where[0]}: {why}"))


def store_and_case(item: pytest.Item) -> tuple[str, str] | None:
    """On which store a test of the contract runs, and with which case."""
    called = getattr(item, "callspec", None)
    if called is None or "stores/contract" not in item.nodeid:
        return None
    store = called.params.get("place", called.params.get("rows"))
    return None if store is None else (str(store), str(called.id).replace(str(store), "", 1).strip("-"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails as expected is told as Python tells it: to quote the source around it takes longer than the test."""
    style = getattr(item.config.option, "tbstyle", "auto")  # nothing is told without a terminal
    if item.get_closest_marker("xfail"):
        item.config.option.tbstyle = "native"
    try:
        return (yield)
    finally:
        item.config.option.tbstyle = style
