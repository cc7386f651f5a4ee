"""The table from Flower's strategies to Muster's rules, without flwr: settings are what its classes have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muster.flower import strategies
from muster.flower.errors import BadApp, Unmapped
from muster.flower.requests import WantedTraining
from muster.flower.strategies import enough, hyperparameter, is_known, mapped
from muster.wire.deciding import ACCURACY, DecidingMetric

ROOT = Path(__file__).parent.parent.parent
COMMON = {
    "fraction_train": 1.0, "fraction_evaluate": 1.0, "min_train_nodes": 2, "min_evaluate_nodes": 2, "min_available_nodes": 2,
    "weighted_by_key": "num-examples", "arrayrecord_key": "arrays", "configrecord_key": "config",
    "train_metrics_aggr_fn": len, "evaluate_metrics_aggr_fn": len,
}  # fmt: skip
ADAPTIVE = {"eta": 0.05, "eta_l": 0.1, "tau": 1e-3, "current_arrays": None, "m_t": None, "v_t": None}


def wanted(strategy: str, *configs: dict[str, Any], **settings: Any) -> WantedTraining:
    home = settings.pop("home", "flwr.serverapp.strategy.")
    return WantedTraining(
        api="message",
        strategy=f"{home}{strategy.lower()}.{strategy}",
        settings={**COMMON, **settings},
        arrays={"0": np.zeros(3, np.float32)},
        rounds=3,
        timeout=3600,
        train_configs=configs or ({},),
        evaluate_config={},
    )


@pytest.mark.parametrize(
    ("strategy", "settings", "aggregator", "optimizer"),
    [
        ("FedAvg", {}, ("mean", {}), ("sgd", {})),
        ("FedProx", {"proximal_mu": 0.1}, ("mean", {}), ("sgd", {})),
        (
            "FedAvgM",
            {"server_learning_rate": 0.5, "server_momentum": 0.9, "server_opt": True, "momentum_vector": None},
            ("mean", {}),
            ("sgd", {"learning_rate": 0.5, "momentum": 0.9}),
        ),
        ("FedMedian", {}, ("median", {}), ("sgd", {})),
        ("FedTrimmedAvg", {"beta": 0.2}, ("trimmed-mean", {"trim": 2}), ("sgd", {})),
        ("FedTrimmedAvg", {"beta": 0.05}, ("mean", {}), ("sgd", {})),
        ("Krum", {"num_malicious_nodes": 2, "num_nodes_to_select": 1}, ("krum", {"byzantine": 2}), ("sgd", {})),
        (
            "MultiKrum",
            {"num_malicious_nodes": 2, "num_nodes_to_select": 4},
            ("multi-krum", {"byzantine": 2, "keep": 4}),
            ("sgd", {}),
        ),
        (
            "FedAdagrad",
            {**ADAPTIVE, "beta_1": 0.0, "beta_2": 0.0},
            ("mean", {}),
            ("adagrad", {"learning_rate": 0.05, "tau": 1e-3}),
        ),
        *(
            (
                name,
                {**ADAPTIVE, "beta_1": 0.8, "beta_2": 0.95},
                ("mean", {}),
                (rule, {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "tau": 1e-3}),
            )
            for name, rule in (("FedAdam", "adam"), ("FedYogi", "yogi"))
        ),
    ],
)
def test_a_strategy_is_a_pair_of_rules_with_its_numbers(
    strategy: str, settings: dict[str, Any], aggregator: tuple[str, Any], optimizer: tuple[str, Any]
) -> None:
    config = mapped(wanted(strategy, **settings), 10).config
    assert (config.aggregator.name, config.aggregator.parameters) == aggregator
    assert (config.optimizer.name, config.optimizer.parameters) == optimizer
    assert (config.goal, config.outliers, config.max_claim_ratio, config.evaluators) == (10, "none", "none", 0)


def test_the_older_api_says_the_same_in_other_words() -> None:
    old = {
        "fraction_fit": 0.5, "min_fit_clients": 2, "min_evaluate_clients": 2, "min_available_clients": 4,
        "fraction_evaluate": 0.5, "accept_failures": False, "initial_parameters": None, "on_fit_config_fn": None,
        "on_evaluate_config_fn": None, "evaluate_fn": None, "fit_metrics_aggregation_fn": None,
        "evaluate_metrics_aggregation_fn": None, "inplace": True, "num_malicious_clients": 1, "num_clients_to_keep": 0,
    }  # fmt: skip
    asked = wanted("Krum", home="flwr.server.strategy.")
    config = mapped(WantedTraining(**{**{f: getattr(asked, f) for f in asked.__slots__}, "settings": old}), 12).config
    assert (config.aggregator.name, config.goal, config.quorum) == ("krum", 6, 6)


def test_a_round_needs_as_many_updates_as_its_rule() -> None:
    krum = wanted("Krum", num_malicious_nodes=2, num_nodes_to_select=1)
    assert mapped(krum, 10).config.quorum == 7
    assert mapped(wanted("FedAvg"), 10).config.quorum == 1
    with pytest.raises(Unmapped, match="Krum: Krum needs at least 7 updates, got 6"):
        mapped(krum, 6)


def test_half_of_the_clients_are_half_of_the_clients() -> None:
    assert mapped(wanted("FedAvg", fraction_train=0.5), 11).config.goal == 5
    assert mapped(wanted("FedAvg", fraction_train=0.1), 11).config.goal == 2
    with pytest.raises(Unmapped, match="expected 1 to 11 clients a round, got 0"):
        mapped(wanted("FedAvg", fraction_train=0.0, min_train_nodes=0), 11)


def test_with_a_metric_those_who_would_evaluate_judge() -> None:
    config = mapped(wanted("FedAvg", fraction_evaluate=0.5), 10, ACCURACY).config
    assert (config.evaluators, config.metric, config.min_gain, config.max_regression) == (5, ACCURACY, 0.0, 1.0)
    loss = DecidingMetric(name="loss", direction="lower")
    assert mapped(wanted("FedAvg"), 10, loss).config.max_regression == 1e30
    assert mapped(wanted("FedAvg", fraction_evaluate=0.0, min_evaluate_nodes=0), 10, ACCURACY).config.evaluators == 0


def test_configurations_become_hyperparameters_and_a_table_where_they_change() -> None:
    asked = wanted("FedProx", {"lr": 0.1, "local-epochs": 1}, {"lr": 0.1, "local-epochs": 2}, proximal_mu=0.01)
    found = mapped(asked, 4).config.model_dump()["hyperparameters"]
    assert found == {"lr": 0.1, "local_epochs": {"schedule": "table", "values": [1, 2]}, "proximal_mu": 0.01}


@pytest.mark.parametrize(
    ("settings", "configs", "sentence"),
    [
        ({"weighted_by_key": "age"}, [{}], "weighted_by_key: expected 'num-examples', got 'age'"),
        ({"aggregate_train": len}, [{}], "aggregate_train: the strategy has this attribute"),
        ({"m_t": 1}, [{}], "m_t: the strategy begins with something in it"),
        ({}, [{"path": b"x"}], "the configuration's 'path': expected text, a number, true or false, got b'x'"),
        ({}, [{"mode": "a"}, {"mode": "b"}], "the configuration's 'mode' changes from round to round, and is no number"),
        ({}, [{"a-b": 1, "a_b": 2}], "'a_b' has the same name as another one, as a hyperparameter: a_b"),
        ({}, [{"a": 1}, {"b": 1}], "the configuration of one round has other keys than another's"),
        ({}, [{"größe": 1}], "the configuration's key 'größe' cannot be a hyperparameter"),
        ({}, [{"text": "ü"}], "hyperparameters.text"),
    ],
)
def test_what_does_not_map_is_refused_by_name(settings: dict[str, Any], configs: list[Any], sentence: str) -> None:
    with pytest.raises(Unmapped, match=re.escape(sentence)):
        mapped(wanted("FedAvg", *configs, **settings), 4)


def test_a_number_that_no_rule_takes_is_refused_by_name() -> None:
    with pytest.raises(Unmapped, match=r"FedAvgM: optimizer.parameters.momentum"):
        mapped(wanted("FedAvgM", server_learning_rate=1.0, server_momentum=1.5), 4)


def test_a_subclass_is_never_mapped() -> None:
    assert is_known("flwr.serverapp.strategy.fedavg.FedAvg")
    assert is_known("flwr.server.strategy.fedavg.FedAvg")
    assert not is_known("quickstart.server_app.FedAvg")
    assert not is_known("flwr.serverapp.strategy.bulyan.Bulyan")
    with pytest.raises(Unmapped, match="not one of Flower's own strategies"):
        mapped(wanted("FedAvg", home="quickstart."), 4)


def test_who_would_wait_for_ever_is_told_so_in_the_words_of_the_app() -> None:
    with pytest.raises(BadApp, match="waits for min_available_clients=5 clients, and there are 4: --clients 5"):
        enough({"min_available_clients": 5}, 4)
    enough({"min_available_nodes": 4}, 4)


def test_keys_become_names() -> None:
    assert hyperparameter("Local-Epochs") == "local_epochs"
    assert hyperparameter("data.lr") == "data_lr"


def test_the_page_names_every_strategy_of_the_table() -> None:
    page = (ROOT / "docs/from-flower.md").read_text()
    assert [name for row in strategies._ROWS if f"`{(name := row.rpartition('.')[2])}`" not in page] == []
