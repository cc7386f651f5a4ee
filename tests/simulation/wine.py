"""An app for tests: three kinds of wine, by what a chemist measured, learnt by logistic regression."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import SGDClassifier

from muster import App, Data, LocalData, SklearnTrainer


def wines() -> Data:
    inputs, labels = load_wine(return_X_y=True)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    return Data(scaled, labels, np.array(["north", "south", "east", "west"])[np.arange(len(labels)) % 4])


def trainer(own: LocalData) -> SklearnTrainer:
    estimator = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.05, random_state=own.seed % 2**32)
    return SklearnTrainer(estimator, own.train.pair, own.test.pair, classes=[0, 1, 2], seed=own.seed)


app = App(
    name="wine",
    data=wines,
    trainer=trainer,
    config={"hyperparameters": {"epochs": 2}, "evaluation_level": 0.5, "evaluation_liars": 0, "min_gain": 0.001},
)
