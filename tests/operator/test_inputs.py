"""What was typed wrongly, and what was perhaps meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from muster.cli.inputs import members, wrong
from muster.wire import admin


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"gaol": 3}, ("gaol is not valid", "nothing has that name: did you mean 'goal'?")),
        (
            {"metric": {"name": "mse", "direction": "lower", "minium": 0}},
            ("metric.minium is not valid", "nothing has that name: did you mean 'minimum' or 'maximum'?"),
        ),
        (
            {"strategy": {"kind": "rolling", "stepz": [10]}},
            ("strategy.stepz is not valid", "nothing has that name: did you mean 'steps'?"),
        ),
        ({"encoding": "int9"}, ("encoding is not valid", "got 'int9': did you mean 'int8'?")),
        ({"quorum": "x"}, ("quorum is not valid", None)),
    ],
)
def test_a_name_that_nobody_knows_is_told_with_those_that_are_near(config: dict[str, Any], told: tuple[str, str]) -> None:
    with pytest.raises(ValidationError) as failed:
        admin.RoundConfig.model_validate({"goal": 3, "quorum": 2, **config})
    what, why = wrong(failed.value)
    assert what == told[0]
    assert told[1] in (None, why)


def test_of_a_message_that_is_not_known_no_names_are_told() -> None:
    assert members("Nothing", ()) == set()
    assert members("Problem", ("x",)) == set()
    assert "goal" in members("RoundConfig", ())
