"""DynamoDB: calls of many threads at once. moto is left out: in one process it loses some of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.stores.contract.places import EMULATORS, Rows, n, opened, values

THREADS, TIMES = 8, 25


@pytest.fixture(params=["memory", *EMULATORS])
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    """A new table."""
    with opened(request.param) as found:
        yield Rows(found)


def at_once(call: Any, count: int) -> list[Any]:
    """What a call returns, made so often by some threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, range(count)))


def is_done(call: Any) -> bool:
    try:
        call()
    except ClientError:
        return False
    return True


def test_no_sum_is_lost(rows: Rows) -> None:
    at_once(lambda _: rows.update("ADD v :v", **values(v=n(1))), THREADS * TIMES)
    assert rows.get() == {"v": n(THREADS * TIMES)}


def test_no_member_of_a_set_is_lost(rows: Rows) -> None:
    at_once(lambda number: rows.update("ADD v :v", **values(v={"NS": [str(number)]})), THREADS * TIMES)
    found = rows.get()
    assert found
    assert len(found["v"]["NS"]) == THREADS * TIMES


def test_a_row_is_made_by_one(rows: Rows) -> None:
    absent: Any = {"ConditionExpression": "attribute_not_exists(pk)"}
    for sort in map(str, range(TIMES)):
        done = at_once(lambda by, sort=sort: is_done(lambda: rows.put(sort, v=n(by), **absent)), THREADS)
        assert sum(done) == 1
        assert rows.get(sort) == {"v": n(done.index(True))}


def test_a_transaction_is_done_by_one(rows: Rows) -> None:
    def both(number: int) -> bool:
        absent: Any = {"ConditionExpression": "attribute_not_exists(pk)", "Item": {"v": n(number)}}
        return is_done(lambda: rows.transact(rows.action("Put", "a", **absent), rows.action("Put", "b", **absent)))

    done = at_once(both, THREADS * TIMES)
    assert sum(done) == 1
    assert rows.get("a") == rows.get("b") == {"v": n(done.index(True))}
