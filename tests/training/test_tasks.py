"""Tasks: their numbers, by hand and as scikit-learn has them; batches of unlike lengths; what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn
from torch.utils.data import TensorDataset

from muster import TorchTrainer
from muster.training import torch as trainers
from muster.training.metrics import R2
from muster.training.tasks import Score, TrainingTask, classification, multilabel, regression, sequences
from muster.training.torch import weights
from tests.training.making import Characters, data, module

CPU = torch.device("cpu")


def scored(task: TrainingTask, outputs: torch.Tensor, labels: torch.Tensor, *lengths: int) -> dict[str, float]:
    """A task's metrics and loss, in batches of these lengths."""
    score = Score(task, CPU)
    score.add(outputs, labels, 1e9, 1)
    score.reset()
    for some, wanted in zip(torch.split(outputs, list(lengths)), torch.split(labels, list(lengths)), strict=True):
        task.check(some, wanted)
        if count := task.counted(wanted):
            score.add(some, wanted, float(task.loss(some, wanted)), count)
    found, loss = score.found("test")
    return {**found, "loss": loss}


def test_classification_is_these_numbers_in_any_batches() -> None:
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1, 1, 0])
    whole = scored(classification(), outputs, labels, 4)
    assert whole["accuracy"] == 0.75
    expected = [math.log(1 + math.exp(x)) for x in (-2, -1, 3, 0)]
    assert whole["loss"] == pytest.approx(sum(expected) / 4)
    assert scored(classification(), outputs, labels, 3, 1) == pytest.approx(whole)


def test_sequences_count_tokens_and_leave_out_what_is_ignored() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 7, 4, generator=generator)
    labels = torch.randint(0, 4, (5, 7), generator=generator)
    labels[0, 2:] = labels[3] = -100
    task = sequences()
    whole = scored(task, outputs, labels, 5)
    counts = labels != -100
    assert whole["accuracy"] == pytest.approx(float((outputs.argmax(2) == labels)[counts].float().mean()))
    assert whole["loss"] == pytest.approx(float(nn.functional.cross_entropy(outputs[counts], labels[counts])))
    assert whole["perplexity"] == pytest.approx(math.exp(whole["loss"]))
    assert scored(task, outputs, labels, 1, 2, 1, 1) == pytest.approx(whole)
    assert scored(task, outputs.transpose(1, 2), labels, 5) == pytest.approx(whole)
    other = labels.masked_fill(labels == -100, 9)
    assert scored(sequences(ignore_index=9), outputs, other, 5) == pytest.approx(whole)


def test_regression_is_as_in_scikit_learn_also_far_from_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = 1e6 + torch.randn(20, 2, generator=generator, dtype=torch.float64)
    outputs = labels + 0.3 * torch.randn(20, 2, generator=generator, dtype=torch.float64)
    for lengths in ((20,), (13, 6, 1)):
        found = scored(regression(), outputs, labels, *lengths)
        assert found["mse"] == found["loss"] == pytest.approx(metrics.mean_squared_error(labels, outputs))
        assert found["mae"] == pytest.approx(metrics.mean_absolute_error(labels, outputs))
        assert found["r2"] == pytest.approx(metrics.r2_score(labels, outputs), rel=1e-9)


@pytest.mark.parametrize("missed", [0.0, 1.0])
def test_of_labels_that_are_all_equal_r2_is_1_or_0(missed: float) -> None:
    made = R2()
    assert math.isnan(made.compute())
    made.update(torch.ones(3) + missed, torch.ones(3))
    assert made.compute() == 1.0 - missed


def test_multilabel_is_as_in_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(30, 4, generator=generator)
    labels = (outputs + 0.8 * torch.randn(30, 4, generator=generator) > 0).float()
    for threshold in (0.5, 0.3):
        said = (torch.sigmoid(outputs) >= threshold).int().numpy()
        found = scored(multilabel(threshold), outputs, labels, 17, 13)
        assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels.int().numpy(), said))
        assert found["f1"] == pytest.approx(metrics.f1_score(labels.int().numpy(), said, average="micro"))
    assert scored(multilabel(), -torch.ones(2, 2), torch.ones(2, 2), 2)["f1"] == 0.0


def test_a_language_model_of_characters_learns_with_an_accuracy_from_0_to_1() -> None:
    text = torch.tensor([(at * at) % 5 for at in range(400)])
    windows = text.unfold(0, 11, 10)
    examples = TensorDataset(windows[:, :-1], windows[:, 1:])
    torch.manual_seed(0)
    made = TorchTrainer(Characters(5), examples, examples, task=sequences(), optimizer="adam")
    base = weights(Characters(5))
    first = made.evaluate(base)
    result = made.train(base, {"epochs": 30, "batch_size": 13, "learning_rate": 0.02, "clip_norm": 1.0})
    last = made.evaluate(result.weights)
    assert (result.examples, last.examples) == (39, 39)
    assert 0.0 <= first.metrics["accuracy"] < 0.5 < 0.9 < last.metrics["accuracy"] <= 1.0
    assert 0.0 <= result.metrics["train_accuracy"] <= 1.0
    assert last.metrics["perplexity"] == pytest.approx(math.exp(last.metrics["loss"]))
    assert last.metrics["perplexity"] < first.metrics["perplexity"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_batch_in_which_nothing_counts_changes_nothing(accumulate: int) -> None:
    base = weights(Characters(5))
    words, labels = torch.zeros(4, 3, dtype=torch.long), torch.full((4, 3), -100)
    labels[2, 1] = 3
    found = []
    for some in (TensorDataset(words, labels), TensorDataset(words[2:3], labels[2:3])):
        made = TorchTrainer(Characters(5), some, some, task=sequences(), short_batches=True)
        found.append(made.train(base, {"batch_size": 1, "accumulate": accumulate}))
        assert made.evaluate(base).metrics["loss"] == pytest.approx(found[-1].metrics["train_loss"], rel=1e-5)
    for name in base:
        np.testing.assert_allclose(found[0].weights[name], found[1].weights[name], atol=1e-7)


def test_data_in_which_nothing_counts_is_refused() -> None:
    words = TensorDataset(torch.zeros(4, 3, dtype=torch.long), torch.full((4, 3), -100))
    made, base = TorchTrainer(Characters(5), words, words, task=sequences()), weights(Characters(5))
    with pytest.raises(ValueError, match="test: expected at least one label that counts, got none"):
        made.evaluate(base)
    with pytest.raises(ValueError, match="train: expected at least one label that counts, got none"):
        made.train(base, {"batch_size": 2})


def test_regression_and_multilabel_learn() -> None:
    inputs = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    tasks: list[tuple[TrainingTask, torch.Tensor, str]] = [
        (regression(), inputs @ torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.5, 0.0], [0.0, 0.0]]) + 1.0, "r2"),
        (multilabel(), (inputs[:, :2] > 0).float(), "f1"),
    ]
    for task, labels, metric in tasks:
        examples = TensorDataset(inputs, labels)
        made = TorchTrainer(nn.Linear(4, 2), examples, examples, task=task, optimizer="adam", schedule="cosine")
        result = made.train(weights(nn.Linear(4, 2)), {"epochs": 60, "learning_rate": 0.05, "batch_size": 20})
        assert made.evaluate(result.weights).metrics[metric] > 0.95
        assert result.metrics[f"train_{metric}"] > 0.9


class Hits:
    """A metric as torchmetrics has them."""

    def __init__(self) -> None:
        self.reset()

    def update(self, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        self.hits += int((outputs.argmax(1) == labels).sum())
        self.seen += len(labels)

    def compute(self) -> torch.Tensor:
        return torch.tensor(self.hits / self.seen)

    def reset(self) -> None:
        self.hits = self.seen = 0


def test_metrics_are_functions_or_objects_with_a_state_and_two_trainers_may_share_them() -> None:
    def share(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (outputs.argmax(1) == labels).float().mean()

    shared = TrainingTask(loss=nn.functional.cross_entropy, metrics={"own": Hits(), "share": share})
    one, other = (TorchTrainer(module(), data(), data(seed, 257), task=shared) for seed in (1, 2))
    for made in (one, other, one):
        found = made.evaluate(weights(module())).metrics
        usual = TorchTrainer(module(), data(), made._test).evaluate(weights(module())).metrics
        assert found["own"] == pytest.approx(usual["accuracy"])
        assert found["share"] == pytest.approx(usual["accuracy"])
        assert found["loss"] == usual["loss"]


@pytest.mark.parametrize("value", [None, torch.ones(2), "1.0", [1.0]])
def test_a_metric_that_gives_no_number_is_refused_by_its_name(value: Any) -> None:
    task = TrainingTask(loss=nn.functional.cross_entropy, metrics={"mine": lambda outputs, labels: value})
    with pytest.raises(TypeError, match="metric 'mine': expected one number, got"):
        TorchTrainer(module(), data(), data(), task=task).evaluate(weights(module()))


@pytest.mark.parametrize("name", ["loss", "Accuracy", "top-5", "a" * 35, ""])
def test_a_metric_whose_name_nobody_would_take_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="metrics: expected names"):
        TrainingTask(loss=nn.functional.cross_entropy, metrics={name: Hits()})


def test_a_metric_that_is_neither_is_refused() -> None:
    with pytest.raises(TypeError, match=r"metric 'mine': expected a function .*, got int"):
        TrainingTask(loss=nn.functional.cross_entropy, metrics={"mine": 3})  # type: ignore[dict-item]


SHAPES = {
    "tokens in a classification": (
        classification(),
        (4, 5, 3),
        (4, 5),
        r"labels of shape \(batch,\), got \(4, 5\); .*sequences",
    ),
    "one output in a classification": (
        classification(),
        (4,),
        (4,),
        r"outputs of shape \(4, classes\) for 4 labels, got \(4,\)",
    ),
    "another number of outputs": (classification(), (3, 2), (4,), r"for 4 labels, got \(3, 2\)"),
    "classes in sequences": (sequences(), (4, 3), (4,), r"labels of shape \(batch, time\), got \(4,\)"),
    "another time": (sequences(), (4, 6, 3), (4, 5), r"\(4, 5, classes\) or \(4, classes, 5\) .*, got \(4, 6, 3\)"),
    "a column and a row": (regression(), (4, 1), (4,), r"outputs of the labels' shape \(4,\), got \(4, 1\)"),
    "one class in a multilabel": (multilabel(), (4, 3), (4,), r"labels of shape \(batch, labels\), got \(4,\)"),
    "other labels": (multilabel(), (4, 3), (4, 2), r"outputs of the labels' shape \(4, 2\), got \(4, 3\)"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_outputs_and_labels_of_another_task_are_refused_with_both_shapes(case: str) -> None:
    task, outputs, labels, says = SHAPES[case]
    with pytest.raises(ValueError, match=says):
        task.check(torch.zeros(outputs), torch.zeros(labels, dtype=torch.long))


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold: expected a probability between 0 and 1"):
        multilabel(threshold)


def test_the_first_batch_is_enough_to_see_that_labels_are_of_another_task() -> None:
    words = TensorDataset(torch.zeros(40, 3, dtype=torch.long), torch.zeros(40, 3, dtype=torch.long))
    made = trainers.TorchTrainer(Characters(5), words, words)
    base = weights(Characters(5))
    for use in (lambda: made.train(base, {}), lambda: made.evaluate(base)):
        with pytest.raises(ValueError, match="the task is sequences"):
            use()


def test_perplexity_of_a_loss_beyond_all_numbers_is_infinite() -> None:
    outputs = torch.tensor([[[0.0, 5000.0]]])
    assert scored(sequences(), outputs, torch.tensor([[0]]), 1)["perplexity"] == math.inf
    assert np.isfinite(scored(sequences(), outputs, torch.tensor([[1]]), 1)["perplexity"])
