"""What stays on a device: a personal head, an optimizer's memory; over rounds, repeats and restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from muster import TorchTrainer
from muster.training.local import FILE
from muster.training.modules import weights
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.training.making import data, digest, module, place

GIVEN = {"epochs": 2, "batch_size": 20, "learning_rate": 0.05}


def personal(**given: Any) -> TorchTrainer:
    """A trainer whose last layer is the device's own, as it is after a start of the process."""
    return TorchTrainer(module(), data(), data(1), personal=("3.*",), seed=2, **given)


def head(made: TorchTrainer) -> np.ndarray[Any, Any]:
    return made._setup.module.get_parameter("3.weight").detach().numpy().copy()


def test_a_personal_part_never_travels_and_learns_all_the_same() -> None:
    made = personal()
    base = decode(made.checkpoint(), HEADER_LIMIT_BYTES)
    assert base.keys() == weights(module()).keys() - {"3.weight", "3.bias"}
    before, first = head(made), made.evaluate(base)
    result = made.train(base, {**GIVEN, "epochs": 20})
    assert result.weights.keys() == base.keys()
    assert (head(made) != before).any()
    assert made.evaluate(result.weights).metrics["loss"] < first.metrics["loss"]


def test_a_personal_part_goes_on_after_a_restart_and_judges_with_it(tmp_path: Path) -> None:
    made = personal()
    base = made.weights()
    made.begin(place(tmp_path, "toy.1"))
    first = made.train(base, GIVEN)
    kept, measured = head(made), made.evaluate(base)
    made.begin(place(tmp_path, "toy.2"))
    second = made.train(first.weights, GIVEN)
    last = head(made)

    again = personal()
    (tmp_path / "other").mkdir()
    again.begin(place(tmp_path / "other", "toy.1"))
    again.train(base, GIVEN)
    restarted = personal()
    restarted.begin(place(tmp_path / "other", "toy.2"))
    assert restarted.evaluate(base) == measured
    assert (head(restarted) == kept).all()
    assert digest(restarted.train(first.weights, GIVEN).weights) == digest(second.weights)
    assert (head(restarted) == last).all()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("given", [{}, {"keep_optimizer": True, "optimizer": "adam"}])
def test_a_place_that_is_trained_twice_has_the_same_bits(tmp_path: Path, restarts: bool, given: dict[str, Any]) -> None:
    made = personal(**given)
    base = made.weights()
    for round_id in ("toy.1", "toy.2", "toy.3"):
        found = []
        for _ in range(2):
            made = personal(**given) if restarts else made
            made.begin(place(tmp_path, round_id))
            found.append((digest(made.train(base, GIVEN).weights), head(made).tobytes()))
        assert found[0] == found[1]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad", "rmsprop"])
def test_an_optimizer_that_is_kept_goes_on_over_a_restart(tmp_path: Path, optimizer: str) -> None:
    def process() -> TorchTrainer:
        return TorchTrainer(module(), data(), data(1), optimizer=optimizer, keep_optimizer=True, seed=2)

    base, given = weights(module()), {**GIVEN, **({"momentum": 0.9} if optimizer == "sgd" else {})}
    lasting, first = process(), process()
    results = []
    for number, made in enumerate((lasting, lasting, first, process())):
        made.begin(place(tmp_path / str(number // 2), f"toy.{number % 2 + 1}"))
        results.append(digest(made.train(base, given).weights))
    assert results[:2] == results[2:]
    fresh = TorchTrainer(module(), data(), data(1), optimizer=optimizer, seed=2)
    fresh.begin(place(tmp_path / "fresh", "toy.2"))
    assert digest(fresh.train(base, given).weights) != results[1]


def test_the_rate_of_a_kept_optimizer_is_that_of_the_round() -> None:
    made = TorchTrainer(module(), data(), data(1), optimizer="adam", keep_optimizer=True)
    base = weights(module())
    made.train(base, GIVEN)
    still = made.train(base, {**GIVEN, "learning_rate": 0.0}).weights
    assert all((still[name] == base[name]).all() for name, _ in module().named_parameters())


def test_what_another_module_kept_is_discarded_with_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = personal()
    made.begin(place(tmp_path))
    made.train(made.weights(), GIVEN)
    torch.manual_seed(1)
    wider = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.ReLU(), nn.Linear(9, 2))
    other = TorchTrainer(wider, data(), data(1), personal=("3.*",))
    other.begin(place(tmp_path))
    assert f"{FILE} is discarded: it is of another module or optimizer" in caplog.text
    assert other.train(other.weights(), GIVEN).weights.keys() == {"0.weight", "0.bias"}


def test_a_disk_that_takes_nothing_leaves_it_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    made = personal()
    made.begin(place(tmp_path / "folder", "toy.1"))
    made.train(made.weights(), GIVEN)
    kept = head(made)
    made.begin(place(tmp_path / "folder", "toy.2"))
    made.evaluate(made.weights())
    assert (head(made) == kept).all()
    assert f"{FILE} is not kept, the disk does not take it" in caplog.text
