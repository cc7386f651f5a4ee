"""Whether a model's configuration can be carried out: its rules exist, take these parameters, suit each other and the model,
and can work on a quorum, and its judges could agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from chalicelib.errors import Refusal
from chalicelib.registry.voting import may_lie, sign_test
from muster.aggregation.registry import (
    Demanding,
    TooFewUpdates,
    TooManyUpdates,
    UnknownRule,
    Unsuitable,
    find_aggregator,
    find_optimizer,
    names,
)
from muster.wire.admin import RoundConfig
from muster.wire.problems import Problem
from muster.wire.tensors import Schema, update_schema


def check_rules(config: RoundConfig) -> None:
    """Refuse a configuration whose rounds could never be aggregated, or never deploy what they made.

    Raises:
        Refusal: `invalid-body`, naming the field.
    """
    try:
        optimizer = find_optimizer(config.optimizer)
        aggregator = find_aggregator(config.aggregator)
        aggregator.check(config.quorum)
        aggregator.check(_places(config))
        if isinstance(aggregator, Demanding):
            aggregator.check_optimizer(optimizer)
    except UnknownRule as unknown:
        aggregators, optimizers = names()
        raise Refusal(
            Problem.INVALID_BODY,
            f"config.{unknown}",
            expected=f"an aggregator ({', '.join(aggregators)}) and an optimizer ({', '.join(optimizers)})",
            got=f"{config.aggregator.name}, {config.optimizer.name}",
        ) from unknown
    except Unsuitable as unsuitable:
        raise _unsuitable(unsuitable) from unsuitable
    except TooManyUpdates as many:
        raise Refusal(
            Problem.INVALID_BODY,
            f"config.goal: {many}, over-selected",
            expected=f"at most {many.most} places",
            got=_places(config),
        ) from many
    except TooFewUpdates as few:
        raise Refusal(
            Problem.INVALID_BODY, f"config.quorum: {few}", expected=f"at least {few.needs}", got=config.quorum
        ) from few
    judges = config.evaluators
    unanimous = sign_test(judges, 0, may_lie(judges, config.evaluation_liars))
    if judges and unanimous > config.evaluation_level:
        raise Refusal(
            Problem.INVALID_BODY,
            f"config.evaluation_level: {judges} judges reach it never, not even when all find a candidate better",
            expected=f"at least {unanimous:g}, or more evaluators",
            got=config.evaluation_level,
        )


def check_model(config: RoundConfig, schema: Callable[[], Schema]) -> None:
    """Refuse a configuration whose rules do not suit the model; its schema is asked for only where they might not.

    Raises:
        Refusal: `invalid-body`, naming the tensor.
    """
    aggregator = find_aggregator(config.aggregator)
    if isinstance(aggregator, Demanding):
        try:
            aggregator.check_model(update_schema(schema()), _places(config))
        except Unsuitable as unsuitable:
            raise _unsuitable(unsuitable) from unsuitable


def _places(config: RoundConfig) -> int:
    """The most updates that a round can have."""
    return math.ceil(config.goal * config.over_selection)


def _unsuitable(reason: Unsuitable) -> Refusal:
    return Refusal(Problem.INVALID_BODY, f"config.{reason.what}", expected=reason.expected, got=reason.got)
