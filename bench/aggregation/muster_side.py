"""Muster's side: from encoded updates (tensor files) to the pseudo-gradient."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Mapping
from functools import partial

import numpy as np

from bench.aggregation import data
from bench.aggregation.timing import measure
from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.replay import Loaded, gradient
from muster.wire import gate
from muster.wire.admin import RoundConfig, Rule
from muster.wire.arrays import Array, schema_of
from muster.wire.encodings import Encoding
from muster.wire.magnitudes import packed
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import Schema
from muster.wire.values import encode_update

REF = CheckpointRef(version=0, sha256="0" * 64, nbytes=0, header_bytes=0, min_update_bytes=0, max_update_bytes=0)
MEAN = Rule(name="mean")
RULES = {
    "median": Rule(name="median"),
    "trimmed": Rule(name="trimmed-mean", parameters={"trim": data.TRIM}),
    "krum": Rule(name="krum", parameters={"byzantine": data.BYZANTINE}),
    "multikrum": Rule(name="multi-krum", parameters={"byzantine": data.BYZANTINE, "keep": data.KEEP}),
}


ENCODINGS: tuple[Encoding, ...] = ("float16", "bfloat16", "int8")


class EncodedRound:
    """A round's updates, encoded and inspected, as they lie in the store."""

    def __init__(self, updates: int, parameters: int, encoding: Encoding = "plain") -> None:
        self.files = [encode_update(data.update(number, parameters), encoding) for number in range(updates)]
        self.schema: Schema = schema_of(data.update(0, parameters))
        self.examples = data.weights(updates)
        self.encoding = encoding

    def manifest(self, rule: Rule) -> Manifest:
        """The frozen manifest under a rule."""
        accepted = []
        for number, file in enumerate(self.files):
            sha256 = hashlib.sha256(file).hexdigest()
            found = gate.inspect(io.BytesIO(file), len(file), self.schema, sha256, self.encoding)
            entry = Entry(
                client_id=f"client-{number:05d}",
                key=str(number),
                etag="",
                sha256=sha256,
                nbytes=len(file),
                examples=self.examples[number],
                norm=found.norm,
                header_bytes=found.header_bytes,
                encoding=self.encoding,
                magnitudes=packed(found.exponents, found.levels),
            )
            accepted.append(entry)
        config = RoundConfig(goal=len(self.files), quorum=1, over_selection=1.0, aggregator=rule)
        return freeze("bench.1", REF, config, None, None, accepted)

    def aggregate(self, manifest: Manifest) -> Mapping[str, Array]:
        """From encoded bytes to the result."""
        [(_, result)] = gradient(manifest, self.schema, Loaded(lambda entry: self.files[int(entry.key)]))
        return result

    def read(self) -> int:
        """Read every byte once."""
        return sum(int(np.frombuffer(file, np.int64, len(file) // 8).max()) for file in self.files)


def main() -> None:
    """Run the cases that are named: `read:<shape>`, `mean:<shape>`, an encoding, or a rule."""
    runs = int(sys.argv[1])
    for case in sys.argv[2:]:
        kind, _, shape = case.partition(":")
        encoding: Encoding = next((known for known in ENCODINGS if known == kind), "plain")
        made = EncodedRound(*data.SHAPES[shape or data.ROBUST_SHAPE], encoding)
        if kind == "read":
            measure(case, runs, made.read, lambda total: [float(total)])
        else:
            manifest = made.manifest(RULES.get(kind, MEAN))
            measure(case, runs, partial(made.aggregate, manifest), lambda result: data.digest_of(dict(result)))


if __name__ == "__main__":
    main()
