"""Bytes, for a person."""

from __future__ import annotations

import pytest

from muster.cli.sizes import size


@pytest.mark.parametrize(
    ("nbytes", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (5_000_000_000, "5 GB"),
     (10**15, "1,000 TB"), (2 * 10**18, "2,000,000 TB")],
)  # fmt: skip
def test_bytes_are_said_in_three_digits(nbytes: int, said: str) -> None:
    assert size(nbytes) == said
