"""A training that is interrupted goes on in another process to the same bits; and what ends one early."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from muster import TorchTrainer
from muster.training.progress import FILE
from muster.training.saved import DIGEST_BYTES, Saved, joined, read, write
from muster.training.torch import weights
from tests.training.making import data, digest, dropping, module, place

GIVEN = {"epochs": 6, "batch_size": 10, "learning_rate": 0.05}
BATCHES = 6


class PowerCut(Exception):
    """The process dies."""


class Flaky(Dataset[Any]):
    """Data that kills its reader after so many examples."""

    def __init__(self, of: TensorDataset, examples: int) -> None:
        self._of = of
        self.left = examples

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, at: int) -> Any:
        if not self.left:
            raise PowerCut
        self.left -= 1
        return self._of[at]


def given(optimizer: Any = "adam", **_: Any) -> dict[str, Any]:
    """The hyperparameters for an optimizer."""
    return GIVEN | ({"momentum": 0.9} if optimizer in ("sgd", "rmsprop") else {})


def trainer(train: Dataset[Any], **how: Any) -> TorchTrainer:
    """As it is after a start of the process."""
    made: dict[str, Any] = {"optimizer": "adam", "schedule": "cosine", "save_every_seconds": 0.0, "seed": 3, **how}
    return TorchTrainer(dropping(), train, data(1), **made)


def dies_after(batches: int, folder: Path, **how: Any) -> None:
    """A process that begins to train for `toy.1`, and comes that far."""
    dying = trainer(Flaky(data(), 10 * batches), **how)
    dying.begin(place(folder))
    with pytest.raises(PowerCut):
        dying.train(weights(dropping()), given(**how))


def lives(folder: Path, round_id: str = "toy.1", base: int = 1, **how: Any) -> Any:
    """What a process that does not die comes to; `trained` counts its epochs."""
    seen = Flaky(data(), 10**9)
    made = trainer(seen, **how)
    made.begin(place(folder, round_id))
    result = made.train(weights(dropping(base)), given(**how))
    return result, round((10**9 - seen.left) / 60)


@pytest.mark.parametrize("batches", [0, 3, BATCHES, 2 * BATCHES + 1, 5 * BATCHES + 5])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path, batches: int, optimizer: str) -> None:
    whole, _ = lives(tmp_path / "whole", optimizer=optimizer)
    dies_after(batches, tmp_path / "cut", optimizer=optimizer)
    torch.manual_seed(99)  # another process has drawn other numbers
    resumed, epochs = lives(tmp_path / "cut", optimizer=optimizer)
    assert digest(resumed.weights) == digest(whole.weights)
    assert resumed.metrics == whole.metrics
    assert epochs == 6 - batches // BATCHES


def test_a_training_may_be_killed_again_and_again(tmp_path: Path) -> None:
    whole, _ = lives(tmp_path / "whole")
    for _ in range(3):
        dies_after(2 * BATCHES - 1, tmp_path / "cut")  # one epoch each time
    resumed, epochs = lives(tmp_path / "cut")
    assert (digest(resumed.weights), epochs) == (digest(whole.weights), 3)


def test_a_training_that_ended_is_not_done_again_for_the_same_place(tmp_path: Path) -> None:
    first, _ = lives(tmp_path)
    again, epochs = lives(tmp_path)
    assert (digest(again.weights), again.metrics, epochs) == (digest(first.weights), first.metrics, 0)


OTHERS: dict[str, dict[str, Any]] = {
    "another round": {"round_id": "toy.2"},
    "another base": {"base": 2},
    "another optimizer": {"optimizer": "sgd"},
    "another seed": {"seed": 4},
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_left_of_another_training_is_discarded_with_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    whole, _ = lives(tmp_path / "whole", **OTHERS[case])
    dies_after(2 * BATCHES, tmp_path / "cut")
    with caplog.at_level(logging.INFO):
        result, epochs = lives(tmp_path / "cut", **OTHERS[case])
    assert (digest(result.weights), epochs) == (digest(whole.weights), 6)
    assert f"{FILE} is discarded: it is of another round, base or trainer" in caplog.text


BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "a bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "its digest": lambda content: bytes(DIGEST_BYTES) + content[DIGEST_BYTES:],
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_file_is_discarded_with_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str) -> None:
    whole, _ = lives(tmp_path / "whole")
    dies_after(2 * BATCHES, tmp_path / "cut")
    path = tmp_path / "cut" / FILE
    path.write_bytes(BREAKS[case](path.read_bytes()))
    result, epochs = lives(tmp_path / "cut")
    assert (digest(result.weights), epochs) == (digest(whole.weights), 6)
    assert f"{FILE} is discarded: it is damaged" in caplog.text


def test_a_disk_that_takes_nothing_does_not_end_a_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, _ = lives(tmp_path / "whole")
    (tmp_path / "cut").write_text("a file where the folder should be")
    result, _ = lives(tmp_path / "cut")
    assert digest(result.weights) == digest(whole.weights)
    assert "the disk does not take it" in caplog.text


def test_an_optimizer_whose_state_is_not_tensors_and_numbers_trains_and_is_not_resumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            self.state[self.param_groups[0]["params"][0]]["history"] = [1, 2]
            return super().step(closure)

    result, epochs = lives(tmp_path, optimizer=Odd)
    assert (epochs, result.metrics["epochs_done"]) == (6, 6)
    assert caplog.text.count("a training that is interrupted will begin anew: optimizer: Odd cannot be kept") == 1
    assert not (tmp_path / FILE).exists()


def test_a_short_training_writes_nothing(tmp_path: Path) -> None:
    lives(tmp_path, save_every_seconds=30.0)
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_trained_alike_whatever_was_trained_before_and_each_place_otherwise(tmp_path: Path) -> None:
    made = trainer(data())
    found: list[str] = []
    for round_id, seed in (("toy.1", 5), ("toy.2", 6), ("toy.1", 5)):
        made.begin(place(tmp_path / str(len(found)), round_id, seed=seed))
        found.append(digest(made.train(weights(dropping()), GIVEN).weights))
    assert found[0] == found[2] != found[1]


def test_torchs_own_generator_goes_on_as_if_there_had_been_no_training(tmp_path: Path) -> None:
    made, base = trainer(data()), weights(dropping())
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    made.begin(place(tmp_path))
    made.train(base, GIVEN)
    assert torch.equal(torch.rand(3), wanted)


class Ticking:
    """A clock that others move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Slow(Dataset[Any]):
    """Data of which an example takes a second, and that kills its reader at some time."""

    def __init__(self, clock: Ticking, dies_at: float = math.inf) -> None:
        self._clock = clock
        self._dies_at = dies_at

    def __len__(self) -> int:
        return 60

    def __getitem__(self, at: int) -> Any:
        self._clock.now += 1.0
        if self._clock.now >= self._dies_at:
            raise PowerCut
        return data()[at]


@pytest.mark.parametrize(
    ("seconds_left", "done"), [(None, 6), (10**6, 6), (401.0, 6), (399.0, 5), (134.0, 2), (100.0, 1), (0.0, 1)]
)
def test_an_epoch_that_would_not_end_in_time_is_not_begun(tmp_path: Path, seconds_left: float | None, done: int) -> None:
    clock = Ticking()
    made = TorchTrainer(module(), Slow(clock), data(), clock=clock)
    made.begin(place(tmp_path, seconds_left=seconds_left))
    result = made.train(weights(module()), GIVEN)
    assert result.metrics["epochs_done"] == done
    assert clock.now == 100.0 + 60 * done


@pytest.mark.parametrize(("seconds_left", "done"), [(10**6, 6), (65 / 0.9, 3), (55 / 0.9, 2), (0.0, 2)])
def test_a_training_that_goes_on_knows_how_long_an_epoch_takes(tmp_path: Path, seconds_left: float, done: int) -> None:
    clock = Ticking()
    made = TorchTrainer(module(), Slow(clock, dies_at=100.0 + 150), data(), save_every_seconds=0.0, clock=clock)
    made.begin(place(tmp_path))
    with pytest.raises(PowerCut):
        made.train(weights(module()), GIVEN)
    clock.now = 0.0
    made = TorchTrainer(module(), Slow(clock), data(), save_every_seconds=0.0, clock=clock)
    made.begin(place(tmp_path, seconds_left=seconds_left))
    assert made.train(weights(module()), GIVEN).metrics["epochs_done"] == done
    assert clock.now == 60 * (done - 2)


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    one = Saved({"a/b": np.arange(3), "c": np.array(2.0)}, {"n": None, "x": float("inf")})
    path = tmp_path / "deep" / "file"
    assert read(path) is None
    assert write(path, joined(one=one, none=Saved({})))
    found = read(path)
    assert found is not None
    assert found.part("one").document == one.document
    assert {name: array.tolist() for name, array in found.part("one").arrays.items()} == {"a/b": [0, 1, 2], "c": 2.0}
    assert (found.part("none").arrays, found.part("none").document, found.part("other").arrays) == ({}, {}, {})
    assert path.stat().st_mode & 0o777 == 0o600
