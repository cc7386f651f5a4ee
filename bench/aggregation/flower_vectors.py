"""What Flower's own strategies make of a few small updates: vectors, against which `test_against_flower.py` holds Muster. Runs
in Flower's environment (`make flower-vectors`), and writes `tests/aggregation/flower_vectors.json`.

Each strategy is driven as Flower's server drives it: `configure_train` hands out the current arrays, every client answers with
its model, `aggregate_train` makes the next one of the answers. A client's model is the current one plus its update, in float32.

All inputs are multiples of 1/64, so they are short to write and exact in float32.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from flwr.supercore.task_identity import TaskIdentity

CLIENTS = 7
ROUNDS = 3
SHAPES: dict[str, tuple[int, ...]] = {"layer.bias": (3,), "layer.weight": (2, 3), "scale": ()}
EXAMPLES = [12, 40, 7, 25, 31, 3, 18]
ALIKE = [10] * CLIENTS
OFFSET = 512.0
"""By which all weights of one case are larger: in float32 nothing smaller than 1/4 is left of a sum of their squares, and the
squared distances between updates are about 0.3."""

Tensors = dict[str, Any]
"""float32 arrays by name."""


@dataclass(frozen=True, kw_only=True)
class VectorCase:
    """One strategy, how often it steps, and what the clients claim. `offset` is added to every weight of the first model."""

    strategy: str
    parameters: dict[str, float] = field(default_factory=dict)
    rounds: int = 1
    examples: Sequence[int] = tuple(EXAMPLES)
    offset: float = 0.0


ADAPTIVE = {"eta": 0.1, "tau": 1e-3}
MOMENTS = {**ADAPTIVE, "beta_1": 0.9, "beta_2": 0.99}
CASES = {
    "mean": VectorCase(strategy="FedAvg"),
    "momentum": VectorCase(strategy="FedAvgM", parameters={"server_learning_rate": 0.5, "server_momentum": 0.9}, rounds=ROUNDS),
    "adagrad": VectorCase(strategy="FedAdagrad", parameters=ADAPTIVE, rounds=ROUNDS),
    "adam": VectorCase(strategy="FedAdam", parameters=MOMENTS, rounds=ROUNDS),
    "yogi": VectorCase(strategy="FedYogi", parameters=MOMENTS, rounds=ROUNDS),
    "median": VectorCase(strategy="FedMedian"),
    "median-even": VectorCase(strategy="FedMedian", examples=EXAMPLES[:6]),
    "trimmed": VectorCase(strategy="FedTrimmedAvg", parameters={"beta": 0.2}),
    "trimmed-none": VectorCase(strategy="FedTrimmedAvg", parameters={"beta": 0.1}),
    "krum": VectorCase(strategy="Krum", parameters={"num_malicious_nodes": 2}),
    "multikrum": VectorCase(strategy="MultiKrum", parameters={"num_malicious_nodes": 2, "num_nodes_to_select": 3}),
    "multikrum-alike": VectorCase(
        strategy="MultiKrum", parameters={"num_malicious_nodes": 2, "num_nodes_to_select": 3}, examples=ALIKE
    ),
    "krum-far-from-zero": VectorCase(strategy="Krum", parameters={"num_malicious_nodes": 2}, offset=OFFSET),
}


class VectorGrid:
    """All that a strategy asks of Flower's grid: which nodes there are."""

    def __init__(self, clients: int) -> None:
        self._clients = clients

    def get_node_ids(self) -> Iterable[int]:
        """The clients, numbered from 1."""
        return range(1, self._clients + 1)


def drawn(rng: np.random.Generator, width: int) -> Tensors:
    """Multiples of 1/64 of at most `width`/64."""
    return {name: np.asarray(rng.integers(-width, width + 1, shape) / 64, np.float32) for name, shape in SHAPES.items()}


def run(case: VectorCase, model: Tensors, updates: Sequence[Sequence[Tensors]]) -> list[Tensors]:
    """The model after each round."""
    strategy = getattr(flower, case.strategy)(**case.parameters)
    current, found = {name: array + np.float32(case.offset) for name, array in model.items()}, []
    for number in range(1, case.rounds + 1):
        arrays = ArrayRecord({name: Array(np.asarray(array)) for name, array in current.items()})
        asked = list(strategy.configure_train(number, arrays, ConfigRecord(), VectorGrid(len(case.examples))))
        asked.sort(key=lambda message: message.metadata.dst_node_id)
        replies = []
        for message, update, examples in zip(asked, updates[number - 1], case.examples, strict=False):
            trained = {name: Array(np.asarray(current[name] + update[name])) for name in current}
            content = {"arrays": ArrayRecord(trained), "metrics": MetricRecord({"num-examples": examples})}
            replies.append(Message(RecordDict(content), reply_to=message))
        made, _ = strategy.aggregate_train(number, replies)
        current = {name: array.numpy() for name, array in made.items()}
        found.append(current)
    return found


def listed(tensors: Tensors) -> dict[str, Any]:
    """As nested lists, with as many digits as float32 has."""
    return {name: _shortened(array.tolist()) for name, array in tensors.items()}


def _shortened(value: Any) -> Any:
    return [_shortened(item) for item in value] if isinstance(value, list) else float(f"{value:.9g}")


def main() -> None:
    """Compute all cases, and write them to the file that is named."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1  # no message can be made without
    rng = np.random.default_rng(20)
    model = drawn(rng, 64)
    updates = [[drawn(rng, 16) for _ in range(CLIENTS)] for _ in range(ROUNDS)]
    cases = {}
    for name, case in CASES.items():
        found = run(case, model, updates)
        cases[name] = {
            "strategy": case.strategy,
            "parameters": case.parameters,
            "examples": list(case.examples),
            "offset": case.offset,
            "dtypes": sorted({str(array.dtype) for array in found[-1].values()}),
            "models": [listed(made) for made in found],
        }
    vectors = {
        "flower": version("flwr"),
        "numpy": np.__version__,
        "model": listed(model),
        "updates": [[listed(update) for update in several] for several in updates],
        "cases": cases,
    }
    Path(sys.argv[1]).write_text(written(vectors))


def written(vectors: dict[str, Any]) -> str:
    """JSON with a line for each model, update and case's result."""
    lines = [f'"{key}": {json.dumps(vectors[key])}' for key in ("flower", "numpy", "model")]
    rounds = ",\n".join("[" + ",\n".join(json.dumps(update) for update in several) + "]" for several in vectors["updates"])
    lines.append(f'"updates": [\n{rounds}]')
    cases = ",\n".join(f'"{name}": {json.dumps(case)}' for name, case in vectors["cases"].items())
    lines.append(f'"cases": {{\n{cases}}}')
    return "{" + ",\n".join(lines) + "}\n"


if __name__ == "__main__":
    main()
