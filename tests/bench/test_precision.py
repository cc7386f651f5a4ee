"""What the precision bench measures can be measured: every case passes the gate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.precision.__main__ import cases
from bench.precision.rounds import PrecisionCase, PrecisionRound


@pytest.mark.parametrize("case", [replace(case, elements=256, updates=2) for case in cases(4096)], ids=str)
def test_the_updates_of_every_case_pass_the_gate(case: PrecisionCase) -> None:
    made = PrecisionRound(case)
    assert len(made.manifest.entries) == case.updates
