"""What is learnt, and from what. `muster simulate federated.py` trains it on devices that are simulated."""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from muster import App, Data, LocalData, SklearnTrainer


def data() -> Data:
    """All examples, as only a simulation has them: 1797 handwritten digits. Put yours here."""
    images, labels = load_digits(return_X_y=True)
    return Data(images / 16.0, labels)


def trainer(own: LocalData) -> SklearnTrainer:
    """What a device trains and judges with; `own` is what it alone has."""
    estimator = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.05)
    return SklearnTrainer(estimator, own.train.pair, own.test.pair, classes=range(10), seed=own.seed)


app = App(
    name="NAME",
    data=data,
    trainer=trainer,
    config={
        "hyperparameters": {"epochs": 2},
        # A version is deployed when more devices find it better than worse: for devices that are your own. What protects a
        # model against devices that lie is in docs/judging.md.
        "evaluation_level": 0.5,
        "evaluation_liars": 0,
    },
)
