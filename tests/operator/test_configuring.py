"""`muster model configure` and `muster model history`, as a person types them."""

from __future__ import annotations

from muster.wire.admin import RoundConfig, Rule
from tests.fleet import CONFIG, World
from tests.operator.terminal import Terminal


def test_the_terminal_shows_what_changes_and_changes_only_that(world: World, muster: Terminal) -> None:
    world.model(rounds=0)
    shown = muster.text("model configure toy --set goal=5 --set hyperparameters.learning_rate=0.01 --dry-run")
    assert "hyperparameters.learning_rate" in shown
    assert "nothing was changed" in shown
    assert len(list(world.operator.configurations("toy"))) == 1
    told = muster.json("model configure toy --set goal=5 --set aggregator.name=median --because steadier")
    assert [(one["name"], one["before"], one["after"]) for one in told["changes"]] == [
        ("goal", 3, 5), ("aggregator.name", "mean", "median"),
    ]  # fmt: skip
    assert world.operator.status("toy").config == RoundConfig(**{**CONFIG, "goal": 5, "aggregator": Rule(name="median")})
    history = muster.text("model history toy")
    assert "goal: 3 → 5, aggregator.name: mean → median" in " ".join(history.split())
    assert "steadier" in history
    muster.json("model configure toy --set min_gain=0.5")
    assert muster.json("model configure toy --set min_gain=")["config"]["min_gain"] == 0.01
    assert "Field required" in muster.fails("model configure toy --set goal=", 2)
    assert "expected" in muster.fails("model configure toy --set goal", 2)
    assert "has no members" in muster.fails("model configure toy --set goal.more=1", 2)
    assert "what is to change?" in muster.fails("model configure toy", 2)
    assert "goal" in muster.fails("model configure toy --set goal=many", 2)


def test_another_metric_needs_margins_in_its_own_units(world: World, muster: Terminal) -> None:
    world.model(rounds=0)
    told = muster.fails("model configure toy --set metric.name=mse --set metric.direction=lower", 2)
    assert "min_gain is required with the metric mse" in " ".join(told.split())
    assert len(list(world.operator.configurations("toy"))) == 1
    line = 'model configure toy --set metric={{"name":"mse","direction":"lower"}} --set min_gain=10 --set max_regression=100'
    found = muster.json(line)["config"]
    assert (found["metric"]["name"], found["min_gain"], found["max_regression"]) == ("mse", 10.0, 100.0)


def test_a_hyperparameter_that_no_trainer_understands_is_refused_with_what_was_meant(world: World, muster: Terminal) -> None:
    known = {"learning_rate": {"type": "number", "exclusive_minimum": 0}, "epochs": {"type": "integer", "minimum": 1}}
    world.model(rounds=0, hyperparameter_schema=known)
    told = muster.fails("model configure toy --set hyperparameters.learning_rat=0.1", 2)
    assert "unknown hyperparameter 'learning_rat': did you mean 'learning_rate'?" in " ".join(told.split())
    told = muster.fails("model configure toy --set hyperparameters.learning_rate=0", 2)
    assert "'learning_rate': expected a number more than 0, got 0" in " ".join(told.split())
    line = 'model configure toy --set hyperparameters.epochs={{"schedule":"linear","start":1,"end":5,"rounds":9}}'
    assert "or a table of such" in muster.fails(line, 2)
    assert len(list(world.operator.configurations("toy"))) == 1
    assert muster.json("model configure toy --set hyperparameters.epochs=3")["config"]["hyperparameters"] == {"epochs": 3}
    assert muster.json("model configure toy --set hyperparameter_schema=")["config"]["hyperparameter_schema"] is None
