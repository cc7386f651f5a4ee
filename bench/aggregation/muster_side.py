"""Muster's side: from encoded updates (tensor files) to the pseudo-gradient."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from bench.aggregation import data
from bench.aggregation.timing import measure
from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.registry import PseudoGradient, Update
from muster.aggregation.replay import gradient
from muster.wire.admin import RoundConfig, Rule
from muster.wire.arrays import decode, encode, schema_of
from muster.wire.gate import measure as inspect
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, parse_header

REF = CheckpointRef(0, "0" * 64, 0, 0, 0, 0)
RULES = {
    "median": Rule(name="median"),
    "trimmed": Rule(name="trimmed-mean", parameters={"trim": data.TRIM}),
    "krum": Rule(name="krum", parameters={"byzantine": data.BYZANTINE}),
    "multikrum": Rule(name="multi-krum", parameters={"byzantine": data.BYZANTINE, "keep": data.KEEP}),
}


class Round:
    """A round's updates, encoded and inspected, as they lie in the store."""

    def __init__(self, updates: int, parameters: int) -> None:
        self.files = [encode(data.update(number, parameters)) for number in range(updates)]
        self.schema: Schema = schema_of(data.update(0, parameters))
        self.examples = data.weights(updates)

    def manifest(self, rule: Rule) -> Manifest:
        """The frozen manifest under a rule."""
        accepted = []
        for number, file in enumerate(self.files):
            found = inspect(memoryview(file), parse_header(file, HEADER_LIMIT_BYTES), self.schema)
            entry = Entry(f"client-{number:05d}", str(number), "", "", len(file), self.examples[number], found.norm)
            accepted.append((entry, found.exponents))
        config = RoundConfig(goal=100_000, quorum=1, aggregator=rule)
        return freeze("bench.1", REF, config, None, None, accepted)

    def aggregate(self, manifest: Manifest) -> PseudoGradient:
        """From encoded bytes to the result."""

        def fetch(entries: Sequence[Entry]) -> Iterator[Update]:
            return ((entry, decode(self.files[int(entry.key)], HEADER_LIMIT_BYTES)) for entry in entries)

        return gradient(manifest, self.schema, fetch, 1 << 62)


def main() -> None:
    """Run the cases that are named: `read:<shape>`, `mean:<shape>`, or a rule."""
    runs = int(sys.argv[1])
    for case in sys.argv[2:]:
        kind, _, shape = case.partition(":")
        made = Round(*data.SHAPES[shape or data.ROBUST_SHAPE])
        if kind == "read":
            measure(case, runs, lambda made=made: sum(_read(file) for file in made.files), lambda total: [float(total)])  # type: ignore[misc]
            continue
        manifest = made.manifest(Rule(name="mean") if kind == "mean" else RULES[kind])
        measure(
            case, runs, lambda made=made, manifest=manifest: made.aggregate(manifest), lambda r: data.digest_of(dict(r.floats))
        )  # type: ignore[misc]


def _read(file: bytes) -> int:
    """Read every byte once."""
    return int(np.frombuffer(file, np.int64, len(file) // 8).max())


if __name__ == "__main__":
    main()
