"""The scikit-learn trainer: what travels, that devices with unlike classes learn together, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from muster import SklearnTrainer
from muster.device.update import delta
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.training.making import digest, place

CLASSIFIERS = {
    "sgd": SGDClassifier(loss="log_loss", eta0=0.05, learning_rate="constant"),
    "hinge": SGDClassifier(),
    "perceptron": Perceptron(),
    "logistic": LogisticRegression(),
    "saga": LogisticRegression(solver="saga"),
    "mlp": MLPClassifier(hidden_layer_sizes=(16,), learning_rate_init=0.01, batch_size=32),
}


def scans() -> tuple[Any, Any]:
    inputs, labels = load_digits(return_X_y=True)
    return inputs / 16, labels


def apart(estimator: Any, below: int = 5) -> list[SklearnTrainer]:
    """Two devices: one has the low digits, the other the high ones."""
    inputs, labels = scans()
    low = labels[:1200] < below
    test = (inputs[1200:], labels[1200:])
    tables = [(inputs[:1200][mask][:300], labels[:1200][mask][:300]) for mask in (low, ~low)]
    return [SklearnTrainer(estimator, table, test, classes=range(10), seed=3) for table in tables]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_devices_that_know_five_digits_each_learn_all_ten(name: str) -> None:
    devices = apart(CLASSIFIERS[name])
    model = decode(devices[0].checkpoint(), HEADER_LIMIT_BYTES)
    assert digest(model) == digest(decode(devices[1].checkpoint(), HEADER_LIMIT_BYTES))
    for _ in range(4):
        results = [device.train(model, {"epochs": 3}) for device in devices]
        assert all(delta(model, result) for result in results)
        model = {key: np.mean([result.weights[key] for result in results], axis=0) for key in model}
    found = devices[0].evaluate(model)
    assert (results[0].examples, found.examples) == (300, 597)
    assert found.metrics["accuracy"] > 0.6
    assert results[0].metrics["train_accuracy"] > 0.9


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_training_is_repeated_to_the_bit_and_each_place_has_its_own(name: str, tmp_path: Path) -> None:
    first, _ = apart(CLASSIFIERS[name])
    again, _ = apart(CLASSIFIERS[name])
    model = decode(first.checkpoint(), HEADER_LIMIT_BYTES)
    kept = digest(model)
    bits = [digest(made.train(model, {"epochs": 2}).weights) for made in (first, first, again)]
    assert len(set(bits)) == 1
    assert digest(model) == kept
    places = []
    for seed in (1, 2, 1):
        first.begin(place(tmp_path, seed=seed))
        places.append(digest(first.train(model, {"epochs": 2}).weights))
    assert places[0] == places[2]
    assert name == "logistic" or places[0] != places[1]  # lbfgs draws nothing


@pytest.mark.parametrize("estimator", [LogisticRegression(), SGDClassifier(), MLPClassifier((8,), batch_size=10)])
def test_two_classes_may_be_texts(estimator: Any) -> None:
    inputs, labels = scans()
    words = np.where(labels % 2 == 0, "even", "odd")
    made = SklearnTrainer(estimator, (inputs[:900], words[:900]), (inputs[900:], words[900:]), classes=["even", "odd"])
    model = made.train(decode(made.checkpoint(), HEADER_LIMIT_BYTES), {"epochs": 8}).weights
    assert made.evaluate(model).metrics["accuracy"] > 0.7


@pytest.mark.parametrize("estimator", [SGDRegressor(), MLPRegressor(hidden_layer_sizes=(8,), batch_size=20)])
def test_regressors_learn_at_the_rate_of_the_round(estimator: Any) -> None:
    inputs, labels = load_diabetes(return_X_y=True)
    inputs, labels = inputs * 20, (labels - 150) / 77
    made = SklearnTrainer(estimator, (inputs[:300], labels[:300]), (inputs[300:], labels[300:]))
    base = decode(made.checkpoint(), HEADER_LIMIT_BYTES)
    found = made.evaluate(made.train(base, {"epochs": 20, "learning_rate": 0.005}).weights).metrics
    assert found["loss"] == found["mse"] < made.evaluate(base).metrics["mse"]
    assert found["r2"] > 0.35
    slow = made.train(base, {"learning_rate": 1e-12}).weights
    assert all(np.allclose(slow[name], base[name], atol=1e-6) for name in base)


REFUSED = {
    "a forest": (RandomForestClassifier(), "got RandomForestClassifier: it has no parameters that could be averaged"),
    "neighbours": (KNeighborsClassifier(), "got KNeighborsClassifier: it has no parameters"),
    "a closed form": (LinearRegression(), "got LinearRegression: it does not go on .* SGDRegressor"),
    "a pipeline": (make_pipeline(StandardScaler(), SGDClassifier()), "it is a pipeline: give its last step"),
    "no estimator": (3, "got int"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_go_on_from_given_parameters_is_refused_with_the_reason(case: str) -> None:
    estimator, says = REFUSED[case]
    with pytest.raises(TypeError, match=says):
        SklearnTrainer(estimator, scans(), scans(), classes=range(10))


INPUTS, LABELS = np.zeros((6, 3)), np.array([0, 1, 0, 1, 0, 1])
GOOD: dict[str, Any] = {"train": (INPUTS, LABELS), "test": (INPUTS, LABELS), "classes": [0, 1]}
BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no classes": (SGDClassifier(), {"classes": None}, "classes: expected at least two, .*, got None"),
    "one class": (SGDClassifier(), {"classes": [1, 1]}, "classes: expected at least two"),
    "classes of a regressor": (SGDRegressor(), {}, "classes: expected none for SGDRegressor"),
    "a class that is not among them": (SGDClassifier(), {"test": (INPUTS, LABELS + 1)}, r"test: .* classes \[0, 1\], got .*2"),
    "a row as inputs": (
        SGDClassifier(),
        {"train": (LABELS, LABELS)},
        r"train: expected inputs of shape \(examples, features\)",
    ),
    "fewer labels": (SGDClassifier(), {"train": (INPUTS, LABELS[1:])}, r"got \(6, 3\) and \(5,\)"),
    "no examples": (SGDClassifier(), {"train": (INPUTS[:0], LABELS[:0])}, "train: expected at least one example, got none"),
    "other features": (SGDClassifier(), {"test": (INPUTS[:, :2], LABELS)}, "test: expected 3 features as in train, got 2"),
    "averages": (SGDClassifier(average=True), {}, "expected SGDClassifier with average=False, got True"),
    "stops early": (SGDClassifier(early_stopping=True), {}, "with early_stopping=False, got True"),
    "no intercept": (LogisticRegression(fit_intercept=False), {}, "with fit_intercept=True, got False"),
    "a solver that begins anew": (LogisticRegression(solver="liblinear"), {}, "with a solver among .*, got 'liblinear'"),
    "less than a batch": (MLPClassifier(batch_size=7), {}, "train: expected at least a batch of 7 examples, got 6"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_at_construction(case: str) -> None:
    estimator, given, says = BAD[case]
    with pytest.raises(ValueError, match=says):
        SklearnTrainer(estimator, **{**GOOD, **given})


def test_a_base_or_a_rate_that_does_not_fit_is_refused() -> None:
    made = SklearnTrainer(LogisticRegression(), **GOOD)
    base = decode(made.checkpoint(), HEADER_LIMIT_BYTES)
    with pytest.raises(ValueError, match="base: expected the tensors coef, intercept, got coef"):
        made.train({"coef": base["coef"]}, {})
    with pytest.raises(ValueError, match=r"tensor 'coef': the estimator has the shape \(1, 3\), the base \(1, 4\)"):
        made.evaluate({**base, "coef": np.zeros((1, 4))})
    with pytest.raises(ValueError, match=r"'learning_rate': LogisticRegression has none, got 0.1"):
        made.train(base, {"learning_rate": 0.1})


def test_a_seed_may_be_as_large_as_a_places_own() -> None:
    inputs, labels = load_digits(return_X_y=True)
    SklearnTrainer(SGDClassifier(), (inputs, labels), (inputs, labels), classes=range(10), seed=2**53 - 1)
