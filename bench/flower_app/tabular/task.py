"""The task of examples/tabular: a linear classifier of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

EPOCHS = 2
CLASSES = np.array([0, 1])

Table = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def classifier(weights: list[npt.NDArray[Any]], seed: int = 0) -> SGDClassifier:
    """One with these weights, that draws the order of examples anew for each pass."""
    draws = np.random.RandomState(seed)
    made = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, alpha=0.001, random_state=draws)
    made.classes_ = CLASSES
    made.coef_, made.intercept_ = weights
    return made


def train(model: SGDClassifier, table: Table) -> None:
    """A few passes over the data."""
    for _ in range(EPOCHS):
        model.partial_fit(*table)


def measure(model: SGDClassifier, table: Table) -> dict[str, float]:
    """Accuracy, and the loss."""
    inputs, labels = table
    loss = log_loss(labels, model.predict_proba(inputs), labels=CLASSES)
    return {"accuracy": float((model.predict(inputs) == labels).mean()), "loss": float(loss)}
