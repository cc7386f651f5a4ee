"""From Flower's strategies to Muster's rules: a table, and what it refuses.

| Flower | aggregator | optimizer |
|---|---|---|
| FedAvg, FedProx | mean | sgd |
| FedAvgM | mean | sgd with momentum |
| FedMedian | median | sgd |
| FedTrimmedAvg | trimmed-mean, `trim` = ⌊beta · clients⌋; the uniform mean where that is none | sgd |
| Krum, MultiKrum | krum, multi-krum | sgd |
| FedAdagrad, FedYogi, FedAdam | mean | adagrad, yogi, adam |

A strategy is looked up by the full name of its class, so a subclass is never mapped: what it overrides cannot be known. Of a
class that is in the table everything is carried over or refused by name; a setting that is not known here is refused too.
Muster's guards against outliers and claims are off in what comes out, because Flower has none. docs/aggregation.md says, and
`tests/aggregation/test_against_flower.py` shows, how near the rules are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from muster.aggregation.registry import UnknownRule, WrongNumberOfUpdates, find_aggregator, find_optimizer
from muster.flower.errors import BadApp, Unmapped
from muster.flower.requests import WantedTraining
from muster.wire.admin import RoundConfig, Rule
from muster.wire.deciding import LARGEST_NUMBER, DecidingMetric

LONGEST_SECONDS = 43_200.0
"""The longest time to the deadline of a round (`RoundConfig.report_seconds`)."""

_OLD_NAMES = {
    "fraction_fit": "fraction_train",
    "min_fit_clients": "min_train_nodes",
    "min_evaluate_clients": "min_evaluate_nodes",
    "min_available_clients": "min_available_nodes",
    "num_malicious_clients": "num_malicious_nodes",
    "num_clients_to_keep": "num_nodes_to_select",
}
"""What the older API calls the same."""

_COMMON = frozenset({
    "fraction_train", "fraction_evaluate", "min_train_nodes", "min_evaluate_nodes", "min_available_nodes", "accept_failures",
})  # fmt: skip
_HONOURED = frozenset({
    "arrayrecord_key", "configrecord_key", "weighted_by_key", "train_metrics_aggr_fn", "evaluate_metrics_aggr_fn",
    "evaluate_fn", "on_fit_config_fn", "on_evaluate_config_fn", "fit_metrics_aggregation_fn",
    "evaluate_metrics_aggregation_fn",
})  # fmt: skip
"""What is done where the app runs, or by the devices."""

_WITHOUT_EFFECT = frozenset({"inplace", "eta_l", "server_opt"})
_STATES = frozenset({
    "initial_parameters", "current_arrays", "current_weights", "momentum_vector", "m_t", "v_t", "delta_t",
})  # fmt: skip
"""What a strategy remembers between rounds. A model begins without, so there must be nothing in it."""

Settings = Mapping[str, Any]

_SGD = Rule(name="sgd")


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePair:
    """What makes one update of many, and what moves the model by it."""

    aggregator: Rule
    optimizer: Rule = _SGD
    differs: str = ""
    weighting: Literal["examples", "uniform"] = "examples"


@dataclass(frozen=True, slots=True)
class MappedStrategy:
    """How a model's rounds run, and what is known to differ from Flower, in sentences."""

    config: RoundConfig
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    takes: tuple[str, ...]
    rules: Callable[[Settings, int], RulePair]


def _mean(settings: Settings, clients: int) -> RulePair:
    return RulePair(aggregator=Rule(name="mean"))


def _momentum(settings: Settings, clients: int) -> RulePair:
    parameters = {"learning_rate": settings["server_learning_rate"], "momentum": settings["server_momentum"]}
    return RulePair(aggregator=Rule(name="mean"), optimizer=Rule(name="sgd", parameters=parameters))


def _median(settings: Settings, clients: int) -> RulePair:
    return RulePair(aggregator=Rule(name="median"))


def _trimmed(settings: Settings, clients: int) -> RulePair:
    trim = int(settings["beta"] * clients)
    if trim:
        return RulePair(aggregator=Rule(name="trimmed-mean", parameters={"trim": trim}))
    differs = f"beta={settings['beta']} of {clients} clients trims none, so it is the uniform mean"
    return RulePair(aggregator=Rule(name="mean"), differs=differs, weighting="uniform")


def _krum(settings: Settings, clients: int) -> RulePair:
    byzantine, keep = settings["num_malicious_nodes"], settings.get("num_nodes_to_select", 1)
    if keep in (0, 1):  # the older API says 0 for Krum itself
        return RulePair(aggregator=Rule(name="krum", parameters={"byzantine": byzantine}))
    differs = "the mean of the chosen updates counts each once; Flower weights them by their examples"
    return RulePair(aggregator=Rule(name="multi-krum", parameters={"byzantine": byzantine, "keep": keep}), differs=differs)


def _adaptive(name: str, *betas: str) -> Callable[[Settings, int], RulePair]:
    def rules(settings: Settings, clients: int) -> RulePair:
        parameters = {"learning_rate": settings["eta"], **{beta: settings[beta] for beta in betas}, "tau": settings["tau"]}
        differs = "the second moment begins at tau², as in the paper, not at 0"
        if name == "adam":
            differs += "; there is no bias correction, and the model keeps its dtypes"
        return RulePair(aggregator=Rule(name="mean"), optimizer=Rule(name=name, parameters=parameters), differs=differs)

    return rules


_ETAS = ("eta", "tau", "beta_1", "beta_2")
_ROWS = {
    "fedavg.FedAvg": _Row((), _mean),
    "fedprox.FedProx": _Row(("proximal_mu",), _mean),
    "fedavgm.FedAvgM": _Row(("server_learning_rate", "server_momentum"), _momentum),
    "fedmedian.FedMedian": _Row((), _median),
    "fedtrimmedavg.FedTrimmedAvg": _Row(("beta",), _trimmed),
    "krum.Krum": _Row(("num_malicious_nodes", "num_nodes_to_select"), _krum),
    "multikrum.MultiKrum": _Row(("num_malicious_nodes", "num_nodes_to_select"), _krum),
    "fedadagrad.FedAdagrad": _Row(_ETAS, _adaptive("adagrad")),
    "fedyogi.FedYogi": _Row(_ETAS, _adaptive("yogi", "beta_1", "beta_2")),
    "fedadam.FedAdam": _Row(_ETAS, _adaptive("adam", "beta_1", "beta_2")),
}
_HOMES = ("flwr.serverapp.strategy.", "flwr.server.strategy.")


def _row(strategy: str) -> _Row | None:
    for home in _HOMES:
        if strategy.startswith(home):
            return _ROWS.get(strategy.removeprefix(home))
    return None


def is_known(strategy: str) -> bool:
    """Whether a class, by its full name, is in the table."""
    return _row(strategy) is not None


def in_new_words(settings: Settings) -> dict[str, Any]:
    """Settings by the names of the newer API."""
    return {_OLD_NAMES.get(name, name): value for name, value in settings.items()}


def enough(settings: Settings, clients: int) -> None:
    """Raise BadApp where a strategy would wait for ever for more clients than there will be."""
    words = in_new_words(settings)
    for name in ("min_available_nodes", "min_train_nodes", "min_evaluate_nodes"):
        least = words.get(name)
        if isinstance(least, int) and least > clients:
            said = next((old for old, new in _OLD_NAMES.items() if new == name and old in settings), name)
            raise BadApp(f"the strategy waits for {said}={least} clients, and there are {clients}: --clients {least}, or more")


def mapped(wanted: WantedTraining, clients: int, metric: DecidingMetric | None = None) -> MappedStrategy:
    """How a model of these rounds runs in Muster. Without a metric nobody judges, and no version is deployed.

    Raises:
        Unmapped: something of the strategy does not map; the sentence names it. Also for a class that is not in the table.
    """
    row = _row(wanted.strategy)
    if row is None:
        raise Unmapped(f"{wanted.strategy} is not one of Flower's own strategies that Muster has rules for")
    words = in_new_words(wanted.settings)
    _check_names(words, row)
    goal = _goal(words, clients)
    try:
        rules = row.rules(words, goal)
        needs = _needed(rules.aggregator, goal)
        find_optimizer(rules.optimizer)
        config = RoundConfig(
            goal=goal,
            quorum=goal if words.get("accept_failures", True) is False else needs,
            over_selection=1.0,
            report_seconds=min(wanted.timeout or LONGEST_SECONDS, LONGEST_SECONDS),
            weighting=rules.weighting,
            max_examples=10**9,
            aggregator=rules.aggregator,
            optimizer=rules.optimizer,
            outliers="none",
            max_claim_ratio="none",
            max_count="none",
            hyperparameters=_hyperparameters(_train_configs(wanted, words)),
            **_judging(words, clients, metric),
        )
    except (UnknownRule, WrongNumberOfUpdates) as error:
        raise Unmapped(f"{_short(wanted.strategy)}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Unmapped(f"{_short(wanted.strategy)}: {where}: {first['msg']}, got {first['input']!r}") from error
    return MappedStrategy(config, (rules.differs,) if rules.differs else ())


def hyperparameter(key: str) -> str:
    """A configuration's key as a hyperparameter's name: with underscores.

    Raises:
        Unmapped: it has other signs that no hyperparameter has.
    """
    name = key.replace("-", "_").replace(".", "_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise Unmapped(f"the configuration's key {key!r} cannot be a hyperparameter: letters, digits, - and _, at most 40")
    return name


def _check_names(words: Settings, row: _Row) -> None:
    known = _COMMON | _HONOURED | _WITHOUT_EFFECT | _STATES | set(row.takes)
    for name, value in words.items():
        if name not in known:
            raise Unmapped(f"{name}: the strategy has this attribute, and Muster's rules know nothing like it")
        if name in _STATES and value is not None:
            raise Unmapped(f"{name}: the strategy begins with something in it, and a new model begins without")
    if words.get("weighted_by_key", "num-examples") != "num-examples":
        raise Unmapped(f"weighted_by_key: expected 'num-examples', got {words['weighted_by_key']!r}")


def _goal(words: Settings, clients: int) -> int:
    goal = max(int(clients * words["fraction_train"]), int(words["min_train_nodes"]))
    if not 1 <= goal <= clients:
        raise Unmapped(f"fraction_train and min_train_nodes: expected 1 to {clients} clients a round, got {goal}")
    return goal


def _needed(rule: Rule, goal: int) -> int:
    """Updates below which the rule cannot work; it has to be able to with `goal`."""
    aggregator = find_aggregator(rule)
    aggregator.check(goal)
    for count in range(1, goal):
        try:
            aggregator.check(count)
        except WrongNumberOfUpdates:
            continue
        return count
    return goal


def _judging(words: Settings, clients: int, metric: DecidingMetric | None) -> dict[str, Any]:
    """Whoever would evaluate, judges; the judges are trusted, and training always goes on from the newest version."""
    judges = max(int(clients * words["fraction_evaluate"]), words["min_evaluate_nodes"]) if words["fraction_evaluate"] else 0
    if metric is None or not judges:
        return {"evaluators": 0}
    return {
        "evaluators": judges, "evaluation_quorum": 1, "evaluation_liars": 0, "evaluation_level": 0.5, "metric": metric,
        "min_gain": 0.0, "max_regression": min(metric.span, LARGEST_NUMBER),
    }  # fmt: skip


def _train_configs(wanted: WantedTraining, words: Settings) -> list[dict[str, Any]]:
    configs = [dict(config) for config in wanted.train_configs] or [{}]
    if "proximal_mu" in words:
        for config in configs:
            config["proximal-mu" if wanted.api == "message" else "proximal_mu"] = words["proximal_mu"]
    return configs


def _hyperparameters(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One value for all rounds, or a table with one for each."""
    found: dict[str, Any] = {}
    for key in configs[0]:
        name = hyperparameter(key)
        if name in found:
            raise Unmapped(f"the configuration's key {key!r} has the same name as another one, as a hyperparameter: {name}")
        if any(config.keys() != configs[0].keys() for config in configs):
            raise Unmapped("the configuration of one round has other keys than another's")
        values = [config[key] for config in configs]
        if not all(isinstance(value, bool | int | float | str) for value in values):
            raise Unmapped(f"the configuration's {key!r}: expected text, a number, true or false, got {values[0]!r}")
        if all(value == values[0] for value in values):
            found[name] = values[0]
        elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) and len(values) <= 100:
            found[name] = {"schedule": "table", "values": values}
        else:
            raise Unmapped(f"the configuration's {key!r} changes from round to round, and is no number (of at most 100 rounds)")
    return found


def _short(strategy: str) -> str:
    return strategy.rpartition(".")[2]
