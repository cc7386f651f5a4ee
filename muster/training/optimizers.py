"""torch's optimizers by name, made from a round's hyperparameters; or any other one, made by a function of the owner.

What an optimizer remembers of its parameters (momentum, Adam's moments) can be kept, and given to a fresh one of the same class
for the same parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from muster.device.failures import BadHyperparameter
from muster.training.modules import array_of
from muster.training.saved import Saved
from muster.wire.spelling import near

OptimizerFactory = Callable[[Sequence[nn.Parameter], float], torch.optim.Optimizer]
"""Makes an optimizer of the parameters that train and the round's learning rate."""


FLOAT16_EPS = 1e-4
"""What an optimizer adds to a divisor where parameters are float16. torch's own 1e-8 is 0 there, and 0/0 no number."""


@dataclass(frozen=True, slots=True)
class NamedOptimizer:
    """A class of torch, which of the hyperparameters `momentum` and `weight_decay` it takes, and whether it divides."""

    kind: type[torch.optim.Optimizer]
    takes: frozenset[str]
    divides: bool = True


_DECAY = frozenset({"weight_decay"})
_MOMENTUM = _DECAY | {"momentum"}

OPTIMIZERS: Mapping[str, NamedOptimizer] = {
    "sgd": NamedOptimizer(torch.optim.SGD, _MOMENTUM, divides=False),
    "adam": NamedOptimizer(torch.optim.Adam, _DECAY),
    "adamw": NamedOptimizer(torch.optim.AdamW, _DECAY),
    "rmsprop": NamedOptimizer(torch.optim.RMSprop, _MOMENTUM),
    "adagrad": NamedOptimizer(torch.optim.Adagrad, _DECAY),
}


def optimizer_of(wanted: str | OptimizerFactory) -> str | OptimizerFactory:
    """What was asked for, if it can be made.

    Raises:
        ValueError: there is no optimizer of this name.
        TypeError: it is neither a name nor a function.
    """
    if isinstance(wanted, str) and wanted not in OPTIMIZERS:
        raise ValueError(f"optimizer: there is none called {wanted!r}: {near(wanted, OPTIMIZERS)}")
    if not isinstance(wanted, str) and not callable(wanted):
        raise TypeError(f"optimizer: expected a name or a function of (parameters, learning_rate), got {type(wanted).__name__}")
    return wanted


def make(
    wanted: str | OptimizerFactory, parameters: Sequence[nn.Parameter], settings: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """An optimizer without history, by the settings `learning_rate`, `momentum` and `weight_decay`.

    Raises:
        ValueError: a setting other than 0 has no meaning for this optimizer.
        TypeError: the owner's function made something else.
    """
    takes = OPTIMIZERS[wanted].takes if isinstance(wanted, str) else frozenset[str]()
    told = f"optimizer {wanted!r}" if isinstance(wanted, str) else "optimizer of the trainer's own"
    for name in sorted(_MOMENTUM - takes):
        if settings[name]:
            raise BadHyperparameter(f"hyperparameter {name!r}: the {told} takes none, got {settings[name]!r}")
    if isinstance(wanted, str):
        kind: Any = OPTIMIZERS[wanted].kind
        given = {name: settings[name] for name in takes}
        if OPTIMIZERS[wanted].divides and any(parameter.dtype == torch.float16 for parameter in parameters):
            given["eps"] = FLOAT16_EPS
        return kind(parameters, lr=settings["learning_rate"], **given)  # type: ignore[no-any-return]
    made = wanted(parameters, settings["learning_rate"])
    if not isinstance(made, torch.optim.Optimizer):
        raise TypeError(f"optimizer: expected the function to make a torch optimizer, got {type(made).__name__}")
    return made


def memory_of(optimizer: torch.optim.Optimizer) -> Saved:
    """What an optimizer remembers of each parameter: tensors as arrays `<parameter>/<name>`, numbers in the document.

    Raises:
        TypeError: it remembers something else, as L-BFGS does.
    """
    arrays, others = {}, {}
    for at, memory in optimizer.state_dict()["state"].items():
        for name, value in memory.items():
            if isinstance(value, torch.Tensor):
                arrays[f"{at}/{name}"] = array_of(value)
            elif value is None or isinstance(value, (bool, int, float, str)):
                others[f"{at}/{name}"] = value
            else:
                raise TypeError(
                    f"optimizer: {type(optimizer).__name__} cannot be kept: expected tensors and numbers in its state, "
                    f"got {name!r}, a {type(value).__name__}"
                )
    return Saved(arrays, others)


def remind(optimizer: torch.optim.Optimizer, memory: Saved) -> None:
    """Give an optimizer what another one remembered. Rates and the like stay its own."""
    state: dict[int, dict[str, Any]] = {}
    found = {name: torch.from_numpy(np.array(array)) for name, array in memory.arrays.items()}
    for key, value in {**found, **memory.document}.items():
        at, _, name = key.partition("/")
        state.setdefault(int(at), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
