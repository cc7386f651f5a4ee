"""Rules by name: what a model's configuration names, and what a site may add to.

An **aggregator** makes one pseudo-gradient of many updates. A **server optimizer** moves the model by it, and may keep state
from step to step. Both are frozen dataclasses whose fields are the rule's parameters, so that a rule reads back from a
configuration with the checks that its fields state.

    @aggregator("median")
    @dataclass(frozen=True, slots=True)
    class Median(Coordinatewise): ...
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Limits, Plan
from muster.wire.admin import Rule
from muster.wire.explaining import explained
from muster.wire.tensors import Schema

F64 = npt.NDArray[np.float64]


class UnknownRule(Exception):
    """A configuration names a rule that is not here, or gives it parameters that it does not take."""


class Unsuitable(Exception):
    """A rule cannot work on this model, or not beside this optimizer; what it expects, and what there is."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class WrongNumberOfUpdates(Exception):
    """A rule cannot do its work on so few updates, or on so many."""


class TooFewUpdates(WrongNumberOfUpdates):
    """A rule cannot do its work on so few updates."""

    def __init__(self, rule: str, needs: int, got: int) -> None:
        super().__init__(f"{rule} needs at least {needs} updates, got {got}")
        self.needs = needs


class TooManyUpdates(WrongNumberOfUpdates):
    """A rule cannot do its work on so many updates."""

    def __init__(self, rule: str, most: int, got: int) -> None:
        super().__init__(f"{rule} takes at most {most} updates, got {got}")
        self.most = most


class Aggregator(Protocol):
    """Makes one pseudo-gradient of many updates, in parts.

    The pseudo-gradient (Reddi et al., "Adaptive Federated Optimization", ICLR 2021, call it Δ_t) says by how much each float
    tensor should move, in float64, and by how much each counter should count up, in int64.
    """

    def check(self, updates: int) -> None:
        """Raise TooFewUpdates or TooManyUpdates when it cannot work on so many."""
        ...

    def plan(self, manifest: Manifest, schema: Schema, limits: Limits) -> Plan:
        """The work, in stages and parts. The results of the last stage are flat arrays by tensor, range after range."""
        ...


@runtime_checkable
class Demanding(Protocol):
    """An aggregator that does not suit every model and every optimizer. It is asked when a model is configured."""

    def check_optimizer(self, optimizer: Optimizer) -> None:
        """Raise Unsuitable when what it makes cannot be handed to this optimizer."""
        ...

    def check_model(self, schema: Schema, updates: int) -> None:
        """Raise Unsuitable when it cannot work on updates of this schema, or not on so many."""
        ...


@dataclass(frozen=True, slots=True)
class OptimizerStep:
    """What an optimizer answers for one tensor: by how much it moves (float64), and the state to keep of it, by letter."""

    move: F64
    state: Mapping[str, F64]


class Optimizer(Protocol):
    """Moves a model by a pseudo-gradient, tensor by tensor, element by element."""

    @property
    def letters(self) -> tuple[str, ...]:
        """The kinds of state that it keeps of each tensor, by the letters of its paper; empty when it keeps none."""
        ...

    @property
    def learning_rate(self) -> float:
        """The server's learning rate, η."""
        ...

    def step(self, gradient: F64, state: Mapping[str, F64] | None) -> OptimizerStep:
        """The step of one tensor. Without state it is the first."""
        ...


Kind = TypeVar("Kind")
_AGGREGATORS: dict[str, type[Any]] = {}
_OPTIMIZERS: dict[str, type[Any]] = {}


def aggregator(name: str) -> Callable[[type[Kind]], type[Kind]]:
    """Register an aggregator."""
    return _register(_AGGREGATORS, name)


def optimizer(name: str) -> Callable[[type[Kind]], type[Kind]]:
    """Register a server optimizer."""
    return _register(_OPTIMIZERS, name)


def find_aggregator(rule: Rule) -> Aggregator:
    """The aggregator that a configuration names.

    Raises:
        UnknownRule: there is none, or not with these parameters.
    """
    found: Aggregator = _find(_AGGREGATORS, "aggregator", rule)
    return found


def find_optimizer(rule: Rule) -> Optimizer:
    """The server optimizer that a configuration names.

    Raises:
        UnknownRule: there is none, or not with these parameters.
    """
    found: Optimizer = _find(_OPTIMIZERS, "optimizer", rule)
    return found


def names() -> tuple[list[str], list[str]]:
    """The names of all aggregators, and of all optimizers."""
    _load()
    return sorted(_AGGREGATORS), sorted(_OPTIMIZERS)


def _register(table: dict[str, type[Any]], name: str) -> Callable[[type[Kind]], type[Kind]]:
    def keep(kind: type[Kind]) -> type[Kind]:
        if table.setdefault(name, kind) is not kind:
            raise ValueError(f"there are two rules named {name!r}")
        return kind

    return keep


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """What parameters of a rule are read with; to make one takes longer than to use it."""
    return TypeAdapter(kind)


def _find(table: Mapping[str, type[Any]], what: str, rule: Rule) -> Any:
    _load()
    if rule.name not in table:
        raise UnknownRule(f"{what}.name: expected one of {', '.join(sorted(table))}, got {rule.name!r}")
    kind: Any = table[rule.name]
    unknown = rule.parameters.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise UnknownRule(f"{what}.parameters.{min(unknown)}: {rule.name} has no such parameter")
    try:
        return _adapter(kind).validate_python(dict(rule.parameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, how = explained(first, dict(rule.parameters))
        raise UnknownRule(f"{what}.parameters.{where or rule.name}: {how}, got {first['input']!r}") from error


@cache
def _load() -> None:
    """Import every file of the folder `rules`, which registers what is in it."""
    package = import_module("muster.aggregation.rules")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
