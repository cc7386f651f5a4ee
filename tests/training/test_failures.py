"""What our trainers throw has the right word: operators count it (`muster.device.failures`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from muster.device.failures import reason_of
from muster.training.sklearn import SklearnTrainer
from muster.training.torch import TorchTrainer
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.training.making import data, module

SETTINGS = {"epochs": 1, "batch_size": 8}


def torch_trainer(**options: Any) -> TorchTrainer:
    return TorchTrainer(module(), data(), data(1), **options)


def on_torch(**hyperparameters: Any) -> None:
    trainer = torch_trainer()
    trainer.train(trainer.weights(), {**SETTINGS, **hyperparameters})


def table(seed: int = 0) -> tuple[Any, Any]:
    inputs = np.random.default_rng(seed).normal(size=(40, 4))
    return inputs, (inputs[:, 0] > 0).astype(np.int64)


def on_sklearn(**hyperparameters: Any) -> None:
    trainer = SklearnTrainer(LogisticRegression(), table(), table(1), classes=[0, 1])
    trainer.train(decode(trainer.checkpoint(), HEADER_LIMIT_BYTES), hyperparameters)


def of_another_module() -> None:
    torch_trainer().train(TorchTrainer(nn.Linear(4, 2), data(), data(1)).weights(), SETTINGS)


def of_another_shape() -> None:
    trainer = torch_trainer()
    base = trainer.weights()
    name = next(iter(base))
    trainer.train({**base, name: base[name][:1]}, SETTINGS)


def a_version_of_another_estimator() -> None:
    trainer = SklearnTrainer(LogisticRegression(), table(), table(1), classes=[0, 1])
    trainer.evaluate({"coef": np.zeros(3)})


def without_data() -> None:
    trainer = TorchTrainer(module(), data(examples=0), data(1))
    trainer.train(trainer.weights(), SETTINGS)


def with_less_than_a_batch() -> None:
    trainer = TorchTrainer(module(), data(examples=4), data(1))
    trainer.train(trainer.weights(), SETTINGS)


def judging_without_data() -> None:
    trainer = TorchTrainer(module(), data(), data(1, examples=0))
    trainer.evaluate(trainer.weights())


def more_than_there_is_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


CASES: list[tuple[Callable[[], object], str]] = [
    (lambda: on_torch(epoch=1), "unknown-hyperparameter"),
    (lambda: on_torch(epochs="two"), "bad-hyperparameter"),
    (lambda: on_torch(learning_rate=-1.0), "bad-hyperparameter"),
    (
        lambda: TorchTrainer(module(), data(), data(1), optimizer="adam").train(torch_trainer().weights(), {"momentum": 0.5}),
        "bad-hyperparameter",
    ),
    (lambda: on_sklearn(learning_rate=0.5), "bad-hyperparameter"),
    (lambda: on_sklearn(momentum=0.5), "unknown-hyperparameter"),
    (of_another_module, "wrong-shape"),
    (of_another_shape, "wrong-shape"),
    (a_version_of_another_estimator, "wrong-shape"),
    (without_data, "too-little-data"),
    (with_less_than_a_batch, "too-little-data"),
    (judging_without_data, "too-little-data"),
    (more_than_there_is_memory, "out-of-memory"),
    (lambda: torch.zeros(3) @ torch.zeros(4), "trainer-error"),
]


@pytest.mark.parametrize(("act", "word"), CASES)
def test_what_a_trainer_of_ours_throws_has_the_word_that_an_operator_needs(act: Callable[[], object], word: str) -> None:
    with pytest.raises(Exception) as thrown:
        act()
    assert reason_of(thrown.value) == word
