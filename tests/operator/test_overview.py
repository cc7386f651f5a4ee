"""How old something is, for a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from muster.cli.overview import age

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (0, "0 s ago"), (59.6, "60 s ago"), (125, "2 min ago"), (3 * 3600, "3 h ago"), (47 * 3600, "47 h ago"),
        (5 * 86_400, "5 days ago"), (-30, "0 s ago"),
    ],
)  # fmt: skip
def test_an_age_has_the_unit_in_which_it_is_two_or_more(before: float, told: str) -> None:
    assert age(NOW - timedelta(seconds=before), NOW) == told
