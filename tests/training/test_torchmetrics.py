"""The metrics of torchmetrics are metrics of a task as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchmetrics import MeanAbsoluteError, R2Score
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score
from torchmetrics.text import Perplexity

from muster import TorchTrainer
from muster.training.tasks import TrainingTask, classification, regression, sequences
from muster.training.torch import weights


class Reader(nn.Module):
    """What comes after each of seven tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.out = nn.Embedding(7, 8), nn.Linear(8, 7)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.out(self.known(inputs))
        return found


def by_position(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs.transpose(1, 2), labels)


CASES: dict[str, Any] = {
    "classes": (
        lambda: nn.Linear(4, 3), lambda x: (x[:, 0] > 0).long() + (x[:, 1] > 0).long(), classification(), "accuracy",
        nn.functional.cross_entropy, {"own": MulticlassAccuracy(3, average="micro")},
        {"f1": MulticlassF1Score(3), "auroc": MulticlassAUROC(3)},
    ),
    "numbers": (
        lambda: nn.Linear(4, 1), lambda x: x[:, :1] + 0.1, regression(), "mae", nn.functional.mse_loss,
        {"own": MeanAbsoluteError()}, {"r2": R2Score()},
    ),
    "sequences": (
        Reader, lambda x: (x + 1) % 7, sequences(), "perplexity", by_position, {"own": Perplexity()}, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_they_measure_what_the_tasks_own_metrics_do_whatever_the_batches(case: str) -> None:
    made, labelled, usual, name, loss, own, more = CASES[case]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(300, 4, generator=generator) if case != "sequences" else torch.arange(270).reshape(30, 9) % 7
    examples = TensorDataset(inputs, labelled(inputs))
    task = TrainingTask(loss=loss, metrics={**own, **more})
    trained = TorchTrainer(made(), examples, examples, task=task).train(
        weights(made()), {"epochs": 9, "learning_rate": 0.1, "batch_size": 7}
    )
    found = TorchTrainer(made(), examples, examples, task=task).evaluate(trained.weights).metrics
    expected = TorchTrainer(made(), examples, examples, task=usual).evaluate(trained.weights).metrics
    assert found["own"] == pytest.approx(expected[name], rel=1e-5)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert all(0.5 < found[other] <= 1.0 for other in more)
    assert trained.metrics.keys() >= {"train_own", *(f"train_{other}" for other in more)}
