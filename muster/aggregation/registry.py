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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import Part
from muster.wire.admin import Rule
from muster.wire.arrays import Array
from muster.wire.tensors import Schema

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Update = tuple[Entry, Mapping[str, Array]]
Fetch = Callable[[Sequence[Entry]], Iterator[Update]]
"""Reads updates, one after another, in the order of their entries."""


class UnknownRule(Exception):
    """A configuration names a rule that is not here, or gives it parameters that it does not take."""


class TooFewUpdates(Exception):
    """A rule cannot do its work on so few updates."""

    def __init__(self, rule: str, needs: int, got: int) -> None:
        super().__init__(f"{rule} needs at least {needs} updates, got {got}")
        self.needs = needs


@dataclass(frozen=True, slots=True)
class PseudoGradient:
    """What a round's updates say together: by how much each float tensor should move, and each counter count up.

    `floats` are float64, `counters` int64, in the shapes of the model (Reddi et al., "Adaptive Federated Optimization", ICLR
    2021, call the first Δ_t).
    """

    floats: Mapping[str, F64]
    counters: Mapping[str, I64]


class Aggregator(Protocol):
    """Makes one pseudo-gradient of many updates, in parts."""

    def check(self, updates: int) -> None:
        """Raise TooFewUpdates when there are too few of them."""
        ...

    def plan(self, manifest: Manifest, schema: Schema, part_bytes: int) -> tuple[Part, ...]:
        """Cut the work into parts of which each reads, or holds, at most about `part_bytes`."""
        ...

    def part(self, part: Part, manifest: Manifest, schema: Schema, fetch: Fetch) -> dict[str, Array]:
        """One part's result: tensors that are stored, once, under the part's name."""
        ...

    def merge(self, manifest: Manifest, schema: Schema, results: Iterator[Mapping[str, Array]], fetch: Fetch) -> PseudoGradient:
        """The pseudo-gradient, from the results of all parts in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
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

    def step(self, gradient: F64, state: Mapping[str, F64] | None) -> Step:
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


def _find(table: Mapping[str, type[Any]], what: str, rule: Rule) -> Any:
    _load()
    if rule.name not in table:
        raise UnknownRule(f"{what}.name: expected one of {', '.join(sorted(table))}, got {rule.name!r}")
    unknown = rule.parameters.keys() - {field.name for field in fields(table[rule.name])}
    if unknown:
        raise UnknownRule(f"{what}.parameters.{min(unknown)}: {rule.name} has no such parameter")
    try:
        return TypeAdapter(table[rule.name]).validate_python(dict(rule.parameters))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise UnknownRule(f"{what}.parameters.{field}: {first['msg']}, got {first['input']!r}") from error


@cache
def _load() -> None:
    """Import every file of the folder `rules`, which registers what is in it."""
    package = import_module("muster.aggregation.rules")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
