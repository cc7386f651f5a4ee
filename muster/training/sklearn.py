"""`SklearnTrainer`: those estimators of scikit-learn that can go on from given parameters (extra `[sklearn]`).

| estimator | arrays that travel | an epoch is |
|---|---|---|
| `SGDClassifier`, `SGDRegressor`, `Perceptron` | `coef`, `intercept` | one `partial_fit` over the local data |
| `MLPClassifier`, `MLPRegressor` | `coef.<layer>`, `intercept.<layer>` | the same |
| `LogisticRegression` | `coef`, `intercept` | one iteration of its solver, from the base on (`warm_start`) |

Others are refused: trees and neighbours have no parameters to average, and `LinearRegression` and its like solve anew, whatever
they begin with (`SGDRegressor` is the same model). Which classes there are is said up front, because a device may not see all
of them. Features are not scaled here: a scaler that every device fits to its own data would make a different model of each.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn import metrics
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from muster.device.failures import BadHyperparameter, ForeignTensors
from muster.device.trainer import Evaluation, Hyperparameters, TrainingContext, TrainingResult
from muster.training.hyperparameters import Hyperparameter, read
from muster.wire.arrays import Array, encode

Table = tuple[Any, Any]
"""Inputs of shape (examples, features), and as many labels."""

_STOCHASTIC = (SGDClassifier, SGDRegressor, Perceptron)
_LAYERED = (MLPClassifier, MLPRegressor)


class SklearnTrainer:
    """Trains a copy of an estimator on local data. Each round begins with the base and nothing else."""

    HYPERPARAMETERS: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter(name="epochs", type=int, default=1, least=1, says="passes over the local data, or iterations"),
        Hyperparameter(
            name="learning_rate", type=float, default=0.0, least=0, says="a constant rate; 0: as the estimator was made"
        ),
    )
    """What it understands of a round's hyperparameters. It refuses any other."""

    def __init__(
        self, estimator: Any, train: Table, test: Table, *, classes: Sequence[Any] | None = None, seed: int = 0
    ) -> None:
        """`classes` are all that any device may see; a classifier needs them, and a regressor has none.

        Raises:
            TypeError: the estimator cannot go on from given parameters.
            ValueError: inputs and labels do not fit each other, are none, or hold another class; or `classes` are missing.
        """
        _check(estimator)
        self._is_classifier = bool(is_classifier(estimator))
        if self._is_classifier and (classes is None or len(set(classes)) < 2):
            raise ValueError(f"classes: expected at least two, all that any device may see, got {classes!r}")
        if not self._is_classifier and classes is not None:
            raise ValueError(f"classes: expected none for {type(estimator).__name__}, got {classes!r}")
        self._classes = np.unique(np.asarray(classes)) if classes is not None else None
        self._train = self._table("train", train)
        self._test = self._table("test", test)
        if self._train[0].shape[1] != self._test[0].shape[1]:
            raise ValueError(f"test: expected {self._train[0].shape[1]} features as in train, got {self._test[0].shape[1]}")
        if len(self._train[0]) < _batch(estimator):
            raise ValueError(f"train: expected at least a batch of {_batch(estimator)} examples, got {len(self._train[0])}")
        self._estimator = estimator
        self._seed = seed
        self._drawn: int | None = None
        self._first = self._fresh(seed)
        self._dtypes = {name: array.dtype for name, array in _parameters(self._first).items()}

    def checkpoint(self) -> bytes:
        """The first weights as a tensor file, what an operator creates a model from: zeros; of an MLP, what the seed draws."""
        return encode({name: np.array(array) for name, array in _parameters(self._first).items()})

    def begin(self, context: TrainingContext) -> None:
        """Draw from this place's seed and the trainer's own from now on."""
        self._drawn = context.seed

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """Train from `base`; metrics are of the trained estimator on the training data (`train_<metric>`).

        Raises:
            ValueError: a hyperparameter is unknown or out of bounds, or the base does not fit the estimator.
            TypeError: a hyperparameter is of another type.
        """
        settings = read(self.HYPERPARAMETERS, hyperparameters)
        if settings["learning_rate"] and isinstance(self._estimator, LogisticRegression):
            raise BadHyperparameter(
                f"hyperparameter 'learning_rate': LogisticRegression has none, got {settings['learning_rate']!r}"
            )
        estimator = self._loaded(base, float(settings["learning_rate"]))
        inputs, labels = self._train
        if isinstance(estimator, LogisticRegression):
            self._solve(estimator, int(settings["epochs"]))
        else:
            for _ in range(int(settings["epochs"])):
                estimator.partial_fit(inputs, labels)
        found = {f"train_{name}": value for name, value in self._measured(estimator, self._train).items()}
        trained = {name: np.array(array, self._dtypes[name]) for name, array in _parameters(estimator).items()}
        return TrainingResult(trained, len(labels), found)

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """Of a classifier `accuracy`, and where it has probabilities the `loss` (cross-entropy); of a regressor `mse`, `mae`,
        `r2`, and the `loss`, which is `mse`.

        Raises:
            ValueError: the version does not fit the estimator.
        """
        return Evaluation(len(self._test[1]), self._measured(self._loaded(weights), self._test))

    def _measured(self, estimator: Any, table: Table) -> dict[str, float]:
        inputs, labels = table
        predicted = estimator.predict(inputs)
        if not self._is_classifier:
            mse = float(metrics.mean_squared_error(labels, predicted))
            found = {"mse": mse, "mae": float(metrics.mean_absolute_error(labels, predicted))}
            if len(labels) > 1:  # of one example there is no spread
                found["r2"] = float(metrics.r2_score(labels, predicted))
            return found | {"loss": mse}
        found = {"accuracy": float((predicted == labels).mean())}
        if hasattr(estimator, "predict_proba"):
            likely = estimator.predict_proba(inputs)
            found["loss"] = float(metrics.log_loss(labels, likely, labels=self._classes))
        return found

    def _loaded(self, arrays: Mapping[str, Array], rate: float = 0.0) -> Any:
        """A copy of the estimator with these parameters, that learns at this rate."""
        wanted = _parameters(self._first)
        if arrays.keys() != wanted.keys():
            raise ForeignTensors(
                f"base: expected the tensors {', '.join(sorted(wanted))}, got {', '.join(sorted(arrays)) or 'none'}"
            )
        for name, array in arrays.items():
            if array.shape != wanted[name].shape:
                raise ForeignTensors(
                    f"tensor {name!r}: the estimator has the shape {wanted[name].shape}, the base {array.shape}"
                )
        seed = self._seed
        if self._drawn is not None:
            drawn = hashlib.sha256(f"{self._seed}/{self._drawn}".encode()).digest()
            seed = int.from_bytes(drawn[:4], "big")
        estimator = self._fresh(seed, rate)
        for name, array in _parameters(estimator).items():
            array[...] = arrays[name]
        return estimator

    def _fresh(self, seed: int, rate: float = 0.0) -> Any:
        """A copy with parameters of the right shapes that draws from this seed. scikit-learn makes them in a first fit only, so
        a few examples are shown, and what was learnt of it is forgotten.
        """
        estimator = clone(self._estimator)
        features = self._train[0].shape[1]
        draws = np.random.RandomState(seed % 2**32)
        if isinstance(estimator, LogisticRegression):
            estimator.classes_, estimator.n_features_in_ = self._classes, features
            rows = 1 if len(self._known) == 2 else len(self._known)
            estimator.coef_, estimator.intercept_ = np.zeros((rows, features)), np.zeros(rows)
            estimator.set_params(warm_start=True, random_state=draws)
            return estimator
        estimator.set_params(random_state=draws)
        if rate:
            estimator.set_params(**_constant(estimator, rate))
        count = len(self._known) if self._is_classifier else 1
        labels = self._known if self._is_classifier else np.zeros(1)
        known = {"classes": self._known} if self._is_classifier else {}
        count = max(count, _batch(estimator))
        estimator.partial_fit(np.zeros((count, features)), np.resize(labels, count), **known)
        if isinstance(estimator, _STOCHASTIC):
            estimator.t_ = 1.0
            for array in _parameters(estimator).values():
                array[...] = 0.0
        else:
            vars(estimator).pop("_optimizer", None)  # Adam would remember those examples; without it, it is made anew
        return estimator

    def _solve(self, estimator: Any, iterations: int) -> None:
        """A few iterations of the solver. One example of every class weighs nothing: a fit wants to see each of them."""
        inputs, labels = self._train
        shown = np.concatenate([inputs, np.zeros((len(self._known), inputs.shape[1]))])
        every = np.concatenate([labels, self._known])
        weighs = np.concatenate([np.ones(len(labels)), np.zeros(len(self._known))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a round is meant to end before that
            estimator.set_params(max_iter=iterations).fit(shown, every, sample_weight=weighs)

    @property
    def _known(self) -> Array:
        return np.empty(0) if self._classes is None else self._classes

    def _table(self, argument: str, table: Table) -> tuple[Array, Array]:
        """Inputs and labels as arrays."""
        inputs, labels = np.asarray(table[0]), np.asarray(table[1])
        if inputs.ndim != 2 or labels.shape != (len(inputs),):
            raise ValueError(
                f"{argument}: expected inputs of shape (examples, features) and labels of shape (examples,), "
                f"got {inputs.shape} and {labels.shape}"
            )
        if not len(inputs):
            raise ValueError(f"{argument}: expected at least one example, got none")
        if self._classes is not None and len(other := np.setdiff1d(labels, self._classes)):
            raise ValueError(f"{argument}: expected labels among the classes {self._classes.tolist()}, got {other[0]!r}")
        return inputs, labels


def _parameters(estimator: Any) -> dict[str, Array]:
    """The estimator's own arrays by name."""
    if isinstance(estimator, _LAYERED):
        pairs = (("coef", estimator.coefs_), ("intercept", estimator.intercepts_))
        return {f"{name}.{layer}": array for name, arrays in pairs for layer, array in enumerate(arrays)}
    return {"coef": estimator.coef_, "intercept": estimator.intercept_}


def _batch(estimator: Any) -> int:
    """Examples a batch, as far as the estimator was made with a number."""
    wanted = getattr(estimator, "batch_size", None)
    return wanted if isinstance(wanted, int) else 1


def _constant(estimator: Any, rate: float) -> dict[str, Any]:
    """How an estimator is told of a constant learning rate."""
    if isinstance(estimator, _LAYERED):
        return {"learning_rate_init": rate, "learning_rate": "constant"}
    return {"eta0": rate} if isinstance(estimator, Perceptron) else {"eta0": rate, "learning_rate": "constant"}


def _check(estimator: Any) -> None:
    """Raises TypeError for an estimator that cannot go on from given parameters, and says what can."""
    name = type(estimator).__name__
    if not isinstance(estimator, (*_STOCHASTIC, *_LAYERED, LogisticRegression)):
        why = "it has no parameters that could be averaged"
        if hasattr(estimator, "steps"):
            why = "it is a pipeline: give its last step, and inputs that went through the others"
        elif type(estimator).__module__.startswith("sklearn.linear_model"):
            why = "it does not go on from given parameters; SGDRegressor and SGDClassifier are linear models that do"
        raise TypeError(
            f"estimator: expected one of {', '.join(kind.__name__ for kind in (*_STOCHASTIC, *_LAYERED))}, LogisticRegression, "
            f"got {name}: {why}"
        )
    found = estimator.get_params()
    for switch, wanted in {"average": False, "early_stopping": False, "fit_intercept": True}.items():
        if found.get(switch, wanted) != wanted:
            raise ValueError(f"estimator: expected {name} with {switch}={wanted}, got {found[switch]!r}")
    solvers = ("sgd", "adam") if isinstance(estimator, _LAYERED) else ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")
    if "solver" in found and found["solver"] not in solvers:
        raise ValueError(f"estimator: expected {name} with a solver among {', '.join(solvers)}, got {found['solver']!r}")
