"""Whether a model's configuration can be carried out: its rules exist, take these parameters, and can work on a quorum."""

from __future__ import annotations

from chalicelib.errors import Refused
from muster.aggregation.registry import TooFewUpdates, UnknownRule, find_aggregator, find_optimizer, names
from muster.wire.admin import RoundConfig
from muster.wire.problems import Problem


def check_rules(config: RoundConfig) -> None:
    """Refuse a configuration whose rounds could never be aggregated.

    Raises:
        Refused: `invalid-body`, naming the field.
    """
    try:
        find_optimizer(config.optimizer)
        find_aggregator(config.aggregator).check(config.quorum)
    except UnknownRule as unknown:
        aggregators, optimizers = names()
        raise Refused(
            Problem.INVALID_BODY,
            f"config.{unknown}",
            expected=f"an aggregator ({', '.join(aggregators)}) and an optimizer ({', '.join(optimizers)})",
            got=f"{config.aggregator.name}, {config.optimizer.name}",
        ) from unknown
    except TooFewUpdates as few:
        raise Refused(
            Problem.INVALID_BODY, f"config.quorum: {few}", expected=f"at least {few.needs}", got=config.quorum
        ) from few
