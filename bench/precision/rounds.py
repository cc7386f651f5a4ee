"""Rounds to be measured, and their exact means."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from muster.aggregation.grids import Averaged, Grid, grids
from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.reading import groups
from muster.aggregation.replay import Loaded, gradient
from muster.wire import gate
from muster.wire.admin import RoundConfig
from muster.wire.arrays import Array, schema_of
from muster.wire.encodings import Encoding
from muster.wire.magnitudes import packed
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import Schema
from muster.wire.values import encode_update

REF = CheckpointRef(version=0, sha256="0" * 64, nbytes=0, header_bytes=0, min_update_bytes=0, max_update_bytes=0)
SPREADS = {"bell": None, "log-normal 1": 1.0, "log-normal 2": 2.0, "log-normal 4": 4.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionCase:
    """What a round is made of."""

    dtype: str
    """Of the model: numpy's word."""
    encoding: Encoding
    spread: str
    giant: float
    """One element of one update, or 0."""
    total: int
    """What the weights come to, about; `updates`: each has one."""
    updates: int
    elements: int

    def update(self, number: int) -> Array:
        """The values of one update."""
        rng = np.random.default_rng(1000 + number)
        values = rng.standard_normal(self.elements)
        sigma = SPREADS[self.spread]
        if sigma is not None:
            values = np.sign(values) * rng.lognormal(0.0, sigma, self.elements)
        values *= 1e-3
        if self.dtype == "f2":
            values = np.clip(values, -60_000, 60_000)
        if number == 0 and self.giant:
            values[self.elements // 3] = self.giant
        return values.astype(self.dtype)

    def examples(self) -> list[int]:
        """The claims: all ones, or alike within a factor of a thousand."""
        if self.total == self.updates:
            return [1] * self.updates
        claims = np.random.default_rng(7).uniform(0.001, 1.0, self.updates)
        return [max(1, min(10**9, int(claim * self.total / claims.sum()))) for claim in claims]


class PrecisionRound:
    """A round's updates, inspected and frozen."""

    def __init__(self, case: PrecisionCase) -> None:
        self.case = case
        self.schema: Schema = schema_of({"w": case.update(0)})
        self.files: list[bytes] = []
        entries = []
        for number, examples in enumerate(case.examples()):
            data = encode_update({"w": case.update(number)}, case.encoding)
            sha256 = hashlib.sha256(data).hexdigest()
            found = gate.inspect(io.BytesIO(data), len(data), self.schema, sha256, case.encoding)
            entries.append(
                Entry(
                    client_id=f"client-{number:06d}",
                    key=str(number),
                    etag="",
                    sha256=sha256,
                    nbytes=len(data),
                    examples=examples,
                    norm=found.norm,
                    header_bytes=found.header_bytes,
                    encoding=case.encoding,
                    magnitudes=packed(found.exponents, found.levels),
                )
            )
            self.files.append(data)
        config = RoundConfig(goal=case.updates, quorum=1, over_selection=1.0, max_examples=10**9)
        self.manifest: Manifest = freeze("bench.1", REF, config, None, None, entries)

    @property
    def reader(self) -> Loaded:
        """The files, in memory."""
        return Loaded(lambda entry: self.files[int(entry.key)])

    @property
    def grid(self) -> Grid:
        """On what the sum is made."""
        weights = [self.manifest.weight(entry) for entry in self.manifest.entries]
        (found,) = grids(Averaged.of(self.manifest, self.manifest.entries, weights), self.schema)
        if found is None:
            raise AssertionError("a float tensor has a grid")
        return found

    def mean(self) -> Array:
        """The pseudo-gradient, float64."""
        [(_, result)] = gradient(self.manifest, self.schema, self.reader)
        return result["w"]

    def exact(self, places: Sequence[int]) -> list[Fraction]:
        """The exact mean of some elements, of the values that the bytes stand for."""
        totals, weight = [Fraction(0)] * len(places), self.manifest.total_weight
        out = np.empty(self.case.elements)
        for group in groups(self.reader, self.schema, self.manifest.entries, 0, self.case.elements, 1 << 30):
            for entry, (values,) in group:
                values.into(out)
                mine = self.manifest.weight(entry)
                totals = [total + mine * Fraction(x) for total, x in zip(totals, out[places].tolist(), strict=True)]
        return [total / weight for total in totals]
