"""A run is the server's own rounds: what is asked of it happens, and the same again has the same versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster.device.errors import TrainerFailed
from muster.simulation.errors import BadPlan, NoApp, Stuck
from muster.simulation.outcome import SimulationOutcome
from tests.simulation.places import digests, in_this_process


@pytest.fixture(scope="module")
def plain() -> SimulationOutcome:
    return in_this_process()


def test_every_client_is_heard_and_the_model_becomes_better(plain: SimulationOutcome) -> None:
    assert [(rnd.phase, rnd.accepted, rnd.goal) for rnd in plain.rounds] == [("completed", 8, 8)] * 2
    assert plain.rounds[-1].metrics["accuracy"] > plain.first["accuracy"] + 0.2
    assert plain.updates == 16
    assert plain.deployed_version in (1, 2)
    assert plain.newest_sha256 == plain.rounds[-1].sha256


def test_the_same_plan_makes_the_same_versions_to_the_last_bit(plain: SimulationOutcome) -> None:
    assert digests(in_this_process()) == digests(plain)


def test_processes_that_train_change_no_bit(plain: SimulationOutcome) -> None:
    assert digests(in_this_process(processes=2)) == digests(plain)


def test_another_seed_makes_other_versions(plain: SimulationOutcome) -> None:
    assert not set(digests(in_this_process(seed=1))) & set(digests(plain))


def test_paces_change_who_comes_first_and_not_what_comes_out(plain: SimulationOutcome) -> None:
    assert digests(in_this_process(spread=1.0)) == digests(plain)


def test_a_round_closes_without_the_slow_if_more_are_admitted_than_it_needs() -> None:
    outcome = in_this_process(over_selection=1.6, spread=1.0)
    assert [rnd.accepted for rnd in outcome.rounds] == [5, 5]


def test_hostile_devices_are_rejected_and_the_others_learn() -> None:
    outcome = in_this_process(hostile=0.25, hostile_kind="nan")
    assert [rnd.rejected for rnd in outcome.rounds] == [{"not-finite": 2}] * 2
    assert outcome.rounds[-1].metrics["accuracy"] > 0.8


@pytest.mark.parametrize("kind", ["giant", "sign-flip", "noise", "liar"])
def test_a_run_with_hostile_devices_of_any_kind_comes_to_its_end(kind: str) -> None:
    outcome = in_this_process(hostile=0.25, hostile_kind=kind, rounds=1)
    assert outcome.rounds[0].phase == "completed"


def test_who_vanishes_is_not_waited_for_longer_than_a_round_may_take() -> None:
    outcome = in_this_process(dropout=0.4, rounds=2)
    assert all(rnd.phase == "completed" for rnd in outcome.rounds)
    assert sum(rnd.dropped for rnd in outcome.rounds) > 0
    assert all(rnd.accepted + rnd.dropped == 8 for rnd in outcome.rounds)
    assert all(rnd.seconds >= 600.0 for rnd in outcome.rounds if rnd.dropped)


def test_in_one_place_the_same_trainer_learns_from_everybodys_data() -> None:
    outcome = in_this_process(central=True)
    assert len(outcome.central) == 2
    assert outcome.central[-1] > 0.9


def test_a_run_whose_rounds_are_abandoned_again_and_again_ends_and_says_so() -> None:
    with pytest.raises(Stuck, match="and only 0 completed"):
        in_this_process(dropout=0.95, rounds=1)


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str) -> str:
        path = tmp_path / "app_of_a_test.py"
        path.write_text(text)
        return str(path)

    return write


OF_WINE = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom wine import *\nfrom dataclasses import replace\n"
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", r"expected it to say app = muster.App\(…\)"),
        ("app = 7", "expected app to be a muster.App, got int"),
    ],
)
def test_a_file_without_an_app_is_refused_by_what_it_says(written: Any, text: str, says: str) -> None:
    with pytest.raises(NoApp, match=says):
        in_this_process(written(text))


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(NoApp, match="and there is none"):
        in_this_process("nowhere.py")


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ("data=lambda: [1, 2]", TypeError, "returns muster.Data, got list"),
        ("trainer=lambda own: object()", TypeError, "an object with train and evaluate, got a object without train"),
        ("initial=lambda: 'weights'", TypeError, "expected the bytes of a tensor file, got str"),
        ("config={'goal': 5, 'quorum': 9}", ValueError, "quorum must not exceed goal"),
        ("config={'goals': 5}", ValueError, "goals"),
        ("config={'goal': 50, 'quorum': 50}", BadPlan, "needs 50 updates .* there are 8 clients"),
        ("held_out=1.5", ValueError, "held_out: expected a share between 0 and 1, got 1.5"),
        ("least_examples=1", ValueError, "least_examples: expected at least 2"),
        ("config={'hyperparameters': {'epoch': 2}}", ValueError, "'epoch': did you mean 'epochs'"),
        ("config={'hyperparameters': {'epoch': 2}, 'hyperparameter_schema': None}", TrainerFailed, "epoch"),
        (
            "config={'metric': {'name': 'f1', 'direction': 'higher', 'minimum': 0, 'maximum': 1}}", TrainerFailed,
            "the metric that decides is f1, and the trainer measures accuracy",
        ),
    ],
)  # fmt: skip
def test_what_an_app_says_wrongly_is_refused_at_the_first_call(
    written: Any, changed: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        in_this_process(written(f"{OF_WINE}app = replace(app, {changed})"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"clients": 0}, "clients: expected a number from 1"),
        ({"clients": 500}, "do not go round: 500 clients need at least 2 each"),
        ({"fraction": 0.0}, "fraction"),
        ({"fraction": float("nan")}, "fraction"),
        ({"dropout": 1.0}, "dropout"),
        ({"hostile_kind": "rude"}, "expected one of nan, giant"),
        ({"partition": "random"}, "expected one of iid"),
        ({"partition": "dirichlet"}, "expected a number above 0"),
        ({"partition": "iid:3"}, "takes no number"),
        ({"partition": "shards:1.5"}, "whole number of shards"),
        ({"partition": "key"}, r"at least as many keys as clients \(8\), got 4"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_happens(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(BadPlan, match=says):
        in_this_process(**asked)


@pytest.mark.parametrize("processes", [0, 1])
def test_a_trainer_that_throws_ends_the_run_with_what_it_threw(written: Any, processes: int) -> None:
    broken = f"{OF_WINE}class Broken(SklearnTrainer):\n    def train(self, base, hyperparameters):\n        return 1 / 0\n"
    broken += "def made(own):\n    found = trainer(own)\n    found.__class__ = Broken\n    return found\n"
    with pytest.raises(TrainerFailed, match="division by zero"):
        in_this_process(written(broken + "app = replace(app, trainer=made)"), processes=processes)
