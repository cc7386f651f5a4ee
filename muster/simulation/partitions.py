"""Who holds which examples: real devices see unlike data, and how unlike decides how well they learn together.

| partition | each device holds |
|---|---|
| `iid` | as many as any other, drawn at random |
| `dirichlet:ALPHA` | of each label a share drawn from a symmetric Dirichlet distribution; the smaller ALPHA, the more unlike (Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification", 2019) |
| `shards:N` | N of as many equal pieces of all examples in the order of their labels (McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017, section 3) |
| `key` | all that one key has; where there are more keys than devices, those of several |
| `size:EXPONENT` | random ones, as many as rank to the power of -EXPONENT: few have much, and many have little |

Every example has one holder. A device that would have fewer than are needed is given some by those that have most.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from muster.simulation.data import Data, Indices
from muster.simulation.errors import BadPlan

Partitioner = Callable[[Data, int, np.random.Generator], list[Indices]]
"""Parts as indices: (data, clients, generator) → one part a client."""

FORMS = "iid, dirichlet:ALPHA, shards:N, key, size:EXPONENT"


def partitioner(text: str) -> Partitioner:
    """What a text such as `dirichlet:0.3` means.

    Raises:
        BadPlan: nothing, or its number is missing, superfluous, or out of bounds.
    """
    name, colon, number = text.partition(":")
    if name in ("iid", "key"):
        if colon:
            raise BadPlan(f"partition {text!r}: {name} takes no number")
        return _iid if name == "iid" else _by_key
    if name not in ("dirichlet", "shards", "size"):
        raise BadPlan(f"partition {text!r}: expected one of {FORMS}")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1e6:
        raise BadPlan(f"partition {text!r}: expected a number above 0 after {name}:, such as {name}:{_EXAMPLES[name]}")
    match name:
        case "dirichlet":
            return lambda data, clients, generator: _dirichlet(data, clients, generator, value)
        case "size":
            return lambda data, clients, generator: _by_size(data, clients, generator, value)
        case _:
            if not value.is_integer():
                raise BadPlan(f"partition {text!r}: expected a whole number of shards, got {value:g}")
            return lambda data, clients, generator: _shards(data, clients, generator, int(value))


_EXAMPLES = {"dirichlet": "0.3", "shards": "2", "size": "1.2"}


def split(data: Data, clients: int, text: str, generator: np.random.Generator, least: int = 1) -> list[Indices]:
    """The examples of each client, in random order; at least `least` each.

    Raises:
        BadPlan: the partition is none, needs labels or keys that are not there, or the examples do not go round.
    """
    if clients < 1:
        raise BadPlan(f"clients: expected at least 1, got {clients}")
    if len(data) < clients * least:
        raise BadPlan(f"{len(data)} examples do not go round: {clients} clients need at least {least} each")
    parts = partitioner(text)(data, clients, generator)
    return [generator.permutation(part) for part in _filled(parts, least)]


def _iid(data: Data, clients: int, generator: np.random.Generator) -> list[Indices]:
    return list(np.array_split(generator.permutation(len(data)), clients))


def _dirichlet(data: Data, clients: int, generator: np.random.Generator, alpha: float) -> list[Indices]:
    labels = _labels(data)
    owner = np.empty(len(labels), dtype=np.intp)
    for label in np.unique(labels):
        where = generator.permutation(np.flatnonzero(labels == label))
        shares = generator.dirichlet(np.full(clients, alpha))
        if not np.isfinite(shares).all() or shares.sum() <= 0.0:  # so small an alpha that every draw is 0: one has all of it
            shares = np.eye(clients)[generator.integers(clients)]
        ends = np.rint(np.cumsum(shares) * len(where)).astype(np.intp)
        for client, part in enumerate(np.split(where, ends[:-1])):
            owner[part] = client
    return [np.flatnonzero(owner == client) for client in range(clients)]


def _shards(data: Data, clients: int, generator: np.random.Generator, each: int) -> list[Indices]:
    if len(data) < clients * each:
        raise BadPlan(f"{len(data)} examples cannot be cut into {clients * each} shards, {each} for each client")
    shuffled = generator.permutation(len(data))
    ordered = shuffled[np.argsort(_labels(data)[shuffled], kind="stable")]
    pieces = np.array_split(ordered, clients * each)
    drawn = generator.permutation(clients * each)
    return [np.concatenate([pieces[piece] for piece in drawn[client::clients]]) for client in range(clients)]


def _by_key(data: Data, clients: int, generator: np.random.Generator) -> list[Indices]:
    if data.keys is None:
        raise BadPlan("partition 'key': expected data with keys (whose each example is), got none")
    keys = np.asarray(data.keys)
    names = np.unique(keys)
    if len(names) < clients:
        raise BadPlan(f"partition 'key': expected at least as many keys as clients ({clients}), got {len(names)}")
    drawn = generator.permutation(names)
    return [np.flatnonzero(np.isin(keys, drawn[client::clients])) for client in range(clients)]


def _by_size(data: Data, clients: int, generator: np.random.Generator, exponent: float) -> list[Indices]:
    weights = np.arange(1, clients + 1, dtype=np.float64) ** -exponent
    ends = np.rint(np.cumsum(weights / weights.sum()) * len(data)).astype(np.intp)
    return list(np.split(generator.permutation(len(data)), ends[:-1]))


def _labels(data: Data) -> Indices:
    """One label for each example, as numbers from 0.

    Raises:
        BadPlan: an example has several, or they are not classes.
    """
    labels = np.asarray(data.labels)
    if labels.ndim != 1:
        shape = f"labels of shape {labels.shape}"
        raise BadPlan(f"expected one label for each example, to part by labels, got {shape}: try iid or key")
    if labels.dtype.kind == "f" and len(np.unique(labels)) > max(20, len(labels) // 10):
        raise BadPlan("expected labels that are classes, to part by labels, got numbers of all kinds: try iid, key or size")
    return np.unique(labels, return_inverse=True)[1].astype(np.intp)


def _filled(parts: list[Indices], least: int) -> list[Indices]:
    """The parts, where those that have most have given to those that have too little."""
    parts = list(parts)
    sizes = np.array([len(part) for part in parts])
    for poor in np.flatnonzero(sizes < least):
        while sizes[poor] < least:
            rich = int(np.argmax(sizes))
            parts[poor], parts[rich] = np.append(parts[poor], parts[rich][-1:]), parts[rich][:-1]
            sizes[poor] += 1
            sizes[rich] -= 1
    return parts
