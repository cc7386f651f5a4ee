"""Flower's side: from the bytes of its own messages (protobuf) to its own result. Runs in Flower's environment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as Proto
from flwr.server.strategy.aggregate import aggregate_krum
from flwr.serverapp.strategy.fedtrimmedavg import trim_mean
from flwr.serverapp.strategy.multikrum import select_multikrum
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

from bench.aggregation import data
from bench.aggregation.timing import measure


def encode(update: data.Update, examples: int) -> bytes:
    """One reply, as it travels."""
    arrays = ArrayRecord({name: Array(values) for name, values in update.items()})
    record = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": examples})})
    return bytes(recorddict_to_proto(record).SerializeToString())


def decode(message: bytes) -> Any:
    """The reply again."""
    return recorddict_from_proto(Proto.FromString(message))


def mean(messages: list[bytes]) -> Any:
    """FedAvg."""
    return aggregate_arrayrecords([decode(message) for message in messages], "num-examples")


def stacked(messages: list[bytes], combine: Any) -> Any:
    """FedMedian and FedTrimmedAvg: layer by layer over the stack of all replies, as their `aggregate_train` does."""
    records = [decode(message)["arrays"] for message in messages]
    found = {}
    for name in list(records[0].keys()):
        layers = [record.pop(name).numpy() for record in records]
        found[name] = np.asarray(combine(np.stack(layers)))
    return ArrayRecord({name: Array(values) for name, values in found.items()})


def krum(messages: list[bytes], keep: int) -> Any:
    """Krum and MultiKrum."""
    chosen = select_multikrum([decode(message) for message in messages], data.BYZANTINE, keep)
    return aggregate_arrayrecords(chosen, "num-examples")


def legacy_krum(messages: list[bytes], keep: int) -> Any:
    """The Krum that Flower ships for NumPy clients (`flwr.server.strategy.Krum`)."""
    records = [decode(message) for message in messages]
    results = [
        ([array.numpy() for array in record["arrays"].values()], int(record["metrics"]["num-examples"])) for record in records
    ]
    names = list(records[0]["arrays"].keys())
    return ArrayRecord({n: Array(v) for n, v in zip(names, aggregate_krum(results, data.BYZANTINE, keep), strict=True)})


def check(result: Any) -> list[float]:
    """A few numbers."""
    return data.digest_of({name: value.numpy() for name, value in result.items()})


def main() -> None:
    """Run the cases that are named."""
    runs = int(sys.argv[1])
    for case in sys.argv[2:]:
        kind, _, shape = case.partition(":")
        updates, parameters = data.SHAPES[shape or data.ROBUST_SHAPE]
        examples = data.weights(updates)
        messages = [encode(data.update(number, parameters), examples[number]) for number in range(updates)]
        work: dict[str, Callable[[], Any]] = {
            "mean": lambda: mean(messages),
            "median": lambda: stacked(messages, lambda stack: np.median(stack, axis=0)),
            "trimmed": lambda: stacked(messages, lambda stack: trim_mean(stack, (data.TRIM + 0.5) / updates)),
            "krum": lambda: krum(messages, 1),
            "legacy_krum": lambda: legacy_krum(messages, 0),
            "legacy_multikrum": lambda: legacy_krum(messages, data.KEEP),
            "multikrum": lambda: krum(messages, data.KEEP),
        }
        measure(case, runs, work[kind], check)


if __name__ == "__main__":
    main()
