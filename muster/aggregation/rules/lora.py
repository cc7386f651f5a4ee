"""Low-rank adapters: of each pair B (outputs, rank), A (rank, inputs) not the tensors are averaged, but their product.

    B', A' = the best approximation of rank r of  sum_k(n_k * B_k A_k) / sum_k(n_k)

where B_k and A_k are the base's plus the update's, clipped; n_k are the weights of `mean`. The product of means is not the mean
of products: averaged apart, two devices that learnt the same change with opposite signs of B and A cancel out.

This is FlexLoRA (Bai, Chen, Qian, Yao and Li, "Federated Fine-tuning of Large Language Models under Heterogeneous Tasks and
Client Resources", NeurIPS 2024): the mean of products, and its truncated singular value decomposition U Σ Vᵀ, of which here
B' = U Σ and A' = Vᵀ. As in FLoRA (Wang et al., "FLoRA: Federated Fine-Tuning Large Language Models with Heterogeneous
Low-Rank Adaptations", NeurIPS 2024) the sum is kept as all B_k side by side times all A_k one upon the other, and never
multiplied out. A device with a smaller rank sends what makes the columns of B zero that it lacks.

Where the product has a smaller rank than r, columns of B' are 0. The rows of A' beside them are not: each of the two has a
gradient only through the other, and would never learn again. They are directions of the base's A, at right angles to the
other rows.

Other tensors are averaged as by `mean`. The server's step must be the plain one: the pair is replaced, and half a step of each
factor is no half step of the product.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muster.aggregation.adapters import AdapterPair, pairs_of, together
from muster.aggregation.exact import F64
from muster.aggregation.grids import Averaged
from muster.aggregation.manifest import Manifest
from muster.aggregation.matrices import orthonormal
from muster.aggregation.plan import Inputs, Limits, Part, Plan, Result, Stage
from muster.aggregation.ranges import slices
from muster.aggregation.registry import (
    Optimizer,
    TooFewUpdates,
    TooManyUpdates,
    Unsuitable,
    aggregator,
    find_optimizer,
)
from muster.aggregation.rules.mean import AHEAD_BYTES, averaged_by
from muster.aggregation.rules.optimizers import Sgd
from muster.aggregation.truncation import truncated
from muster.wire.tensors import Schema
from muster.wire.values import Values

MOST_UPDATES = 2_000
"""All of a pair's updates are needed at once."""

STACK_BYTES = 512 << 20
"""What the adapters of one pair, of all updates, may take as float64."""


@aggregator("lora")
@dataclass(frozen=True, slots=True)
class Lora:
    """The mean of the adapters' products, truncated to their rank; the mean of everything else."""

    def check(self, updates: int) -> None:
        """One is enough."""
        if updates < 1:
            raise TooFewUpdates("lora", 1, updates)
        if updates > MOST_UPDATES:
            raise TooManyUpdates("lora", MOST_UPDATES, updates)

    def check_optimizer(self, optimizer: Optimizer) -> None:
        """Refuse what would move a pair's tensors by anything but what was computed."""
        if not isinstance(optimizer, Sgd) or optimizer.learning_rate != 1.0 or optimizer.momentum != 0.0:
            raise Unsuitable(
                "optimizer: lora replaces each pair as a whole",
                "sgd with a learning_rate of 1 and no momentum",
                repr(optimizer),
            )

    def check_model(self, schema: Schema, updates: int) -> None:
        """Refuse a model without pairs, with halves of pairs, or with pairs that are too large for so many updates."""
        for pair in pairs_of(schema):
            if (size := _stack_bytes(pair, updates)) > STACK_BYTES:
                raise Unsuitable(
                    f"aggregator: the adapters of {pair.layer!a}, of {updates:,} updates",
                    f"at most {STACK_BYTES >> 20} MiB as float64",
                    f"{-(-size >> 20):,} MiB; fewer places, or a smaller rank",
                )

    def plan(self, manifest: Manifest, schema: Schema, limits: Limits) -> Plan:
        """The mean, where there is anything that is in no pair; the pairs, some in each part; and both, range by range.

        Raises:
            Unsuitable: the model or the optimizer is not one for this rule.
        """
        count = len(manifest.entries)
        self.check_optimizer(find_optimizer(manifest.optimizer))
        self.check_model(schema, count)
        pairs = pairs_of(schema)
        paired = {number for pair in pairs for number in (pair.a, pair.b)}
        averaging = averaged_by(manifest, schema, limits)
        before = averaging.stages() if len(paired) < len(schema) else ()
        groups = together(schema, pairs, lambda pair: _stack_bytes(pair, count), min(STACK_BYTES, limits.memory_bytes // 2))
        parts = tuple(
            Part(stage=len(before), number=number, first=0, last=count, start=group.start, stop=group.stop)
            for number, group in enumerate(groups)
        )
        averaged = Averaged.of(manifest, manifest.entries, [manifest.weight(entry) for entry in manifest.entries])
        drawn = seed_of(averaged)

        def truncate(part: Part, inputs: Inputs) -> Result:
            stacks = [AdapterStack.empty(pair, schema, count) for pair in groups[part.number].pairs]
            fill(stacks, schema, averaged, part, inputs)
            return {name: move for stack in stacks for name, move in stack.moves(averaged.total_weight, drawn).items()}

        if not before:  # the groups are all there is, one after another
            return Plan((Stage(parts, truncate),))
        means = {(part.start, part.stop): part for part in before[-1].parts}

        def gather(part: Part, inputs: Inputs) -> Result:
            found = dict(next(iter(inputs.results([means[part.start, part.stop]]))))
            pieces = {schema[piece.tensor].name: piece for piece in slices(schema, part.start, part.stop)}
            for result in inputs.results(parts[part.first : part.last]):
                found |= {name: result[name][piece.low : piece.high] for name, piece in pieces.items() if name in result}
            return found

        gathering = Stage(tuple(_over(parts, number, *edges) for number, edges in enumerate(means)), gather)
        lost = [grid.lost for number, grid in enumerate(averaging.may) if grid is not None and number not in paired]
        return Plan((*before, Stage(parts, truncate), gathering), lost_bits=max(lost, default=0))


def _stack_bytes(pair: AdapterPair, updates: int) -> int:
    return 8 * updates * pair.rank * (pair.outputs + pair.inputs)


def _over(parts: Sequence[Part], number: int, start: int, stop: int) -> Part:
    """A part that takes from those parts that have elements of a range."""
    touched = [part.number for part in parts if part.start < stop and part.stop > start]
    first, last = (touched[0], touched[-1] + 1) if touched else (0, 0)
    return Part(stage=parts[0].stage + 1, number=number, first=first, last=last, start=start, stop=stop)


def seed_of(averaged: Averaged) -> bytes:
    """What random vectors are drawn from: nobody knows it before all updates are there, and no order of them changes it."""
    told = sorted(f"{entry.sha256} {weight}" for entry, weight in zip(averaged.entries, averaged.weights, strict=True))
    return hashlib.sha256("\n".join(told).encode()).digest()


def fill(stacks: Sequence[AdapterStack], schema: Schema, averaged: Averaged, part: Part, inputs: Inputs) -> None:
    """Write a part's updates into the stacks of its pairs, one after another."""
    places = {piece.tensor: at for at, piece in enumerate(slices(schema, part.start, part.stop))}
    base = inputs.base(part)
    for stack in stacks:
        stack.base_a[:] = decoded(base[places[stack.pair.a]], stack.base_a.shape)
        stack.base_b[:] = decoded(base[places[stack.pair.b]], stack.base_b.shape)
    number = 0
    for group in inputs.updates(averaged.entries, part, AHEAD_BYTES):
        for _, several in group:
            for stack in stacks:
                a, b = several[places[stack.pair.a]], several[places[stack.pair.b]]
                stack.put(number, a, b, averaged.clips[number], averaged.weights[number])
            number += 1


def decoded(values: Values, shape: tuple[int, ...]) -> F64:
    """All values of a tensor, exact."""
    found = np.empty(len(values))
    values.into(found)
    return found.reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterStack:
    """A pair of all updates: the columns of all weighted B, and the rows of all A, each as a row; and the base's pair."""

    pair: AdapterPair
    name_a: str
    name_b: str
    base_a: F64
    base_b: F64
    left: F64
    """(updates * rank, outputs)"""
    right: F64
    """(updates * rank, inputs)"""

    @classmethod
    def empty(cls, pair: AdapterPair, schema: Schema, updates: int) -> AdapterStack:
        """Memory for so many updates."""
        return cls(
            pair=pair,
            name_a=schema[pair.a].name,
            name_b=schema[pair.b].name,
            base_a=np.empty((pair.rank, pair.inputs)),
            base_b=np.empty((pair.outputs, pair.rank)),
            left=np.empty((updates * pair.rank, pair.outputs)),
            right=np.empty((updates * pair.rank, pair.inputs)),
        )

    def put(self, number: int, a: Values, b: Values, clip: float, weight: int) -> None:
        """The base's pair plus an update, which is clipped and weighs so much: element by element, in float64."""
        rows = slice(number * self.pair.rank, (number + 1) * self.pair.rank)
        self.right[rows] = self.base_a + clip * decoded(a, self.base_a.shape)
        self.left[rows] = (weight * (self.base_b + clip * decoded(b, self.base_b.shape))).T

    def moves(self, total_weight: int, seed: bytes) -> Result:
        """By how much A and B move, flat, by name. The stack is used up."""
        best = truncated(self.left, self.right, self.pair.rank, seed + self.pair.layer.encode())
        new_b = np.zeros_like(self.base_b)
        new_b[:, : len(best.values)] = (best.outputs * (best.values / total_weight)[:, None]).T
        new_a = completed(best.inputs, self.base_a)
        return {self.name_a: (new_a - self.base_a).reshape(-1), self.name_b: (new_b - self.base_b).reshape(-1)}


def completed(rows: F64, base: F64) -> F64:
    """Orthonormal rows, as many as the base has: first these, then directions of the base's rows, then of unit vectors."""
    for others in (base, np.eye(*base.shape)):
        if len(rows) < len(base):
            rows = np.concatenate([rows, orthonormal(others, rows)[: len(base) - len(rows)]])
    return rows
