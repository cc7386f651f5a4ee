"""Whether a model's configuration can be carried out: its rules exist, take these parameters, and can work on a quorum, and
its judges could agree.
"""

from __future__ import annotations

import math

from chalicelib.errors import Refusal
from chalicelib.registry.voting import may_lie, sign_test
from muster.aggregation.registry import TooFewUpdates, TooManyUpdates, UnknownRule, find_aggregator, find_optimizer, names
from muster.wire.admin import RoundConfig
from muster.wire.problems import Problem


def check_rules(config: RoundConfig) -> None:
    """Refuse a configuration whose rounds could never be aggregated, or never deploy what they made.

    Raises:
        Refusal: `invalid-body`, naming the field.
    """
    try:
        find_optimizer(config.optimizer)
        aggregator = find_aggregator(config.aggregator)
        aggregator.check(config.quorum)
        aggregator.check(math.ceil(config.goal * config.over_selection))
    except UnknownRule as unknown:
        aggregators, optimizers = names()
        raise Refusal(
            Problem.INVALID_BODY,
            f"config.{unknown}",
            expected=f"an aggregator ({', '.join(aggregators)}) and an optimizer ({', '.join(optimizers)})",
            got=f"{config.aggregator.name}, {config.optimizer.name}",
        ) from unknown
    except TooManyUpdates as many:
        raise Refusal(
            Problem.INVALID_BODY,
            f"config.goal: {many}, over-selected",
            expected=f"at most {many.most} places",
            got=math.ceil(config.goal * config.over_selection),
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
