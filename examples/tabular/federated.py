"""A linear classifier of scikit-learn. `muster simulate examples/tabular/federated.py --data dirichlet:0.5 --clients 10`"""

from __future__ import annotations

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier

from muster import App, Data, LocalData, SklearnTrainer


def tumours() -> Data:
    """569 tumours, 30 measures of each (Wisconsin, 1995), brought to like sizes by what is known beforehand."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    return Data((inputs - inputs.mean(axis=0)) / inputs.std(axis=0), labels)


def trainer(own: LocalData) -> SklearnTrainer:
    """A hospital's trainer."""
    estimator = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, alpha=0.001)
    return SklearnTrainer(estimator, own.train.pair, own.test.pair, classes=[0, 1], seed=own.seed)


app = App(
    name="tumours",
    data=tumours,
    trainer=trainer,
    least_examples=10,
    config={
        "hyperparameters": {"epochs": 2},
        "evaluators": 10,
        "evaluation_level": 0.5,
        "evaluation_liars": 0,
        "min_gain": 0.002,
    },
)
