"""Tests of one group share what is dear to make, so they must run in one process."""

from __future__ import annotations

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all tests run in one process")
@pytest.mark.xdist_group("house")
def test_whoever_shares_tests_out_knows_their_groups(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@house")
