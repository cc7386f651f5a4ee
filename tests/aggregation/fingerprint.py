"""`python -m tests.aggregation.fingerprint`: digests of what the rules make of fixed updates, for another CPU to compare."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import replace

import numpy as np

from muster.aggregation.assembly import assemble
from muster.aggregation.plan import NO_LIMITS, Limits, Plan
from muster.aggregation.registry import find_aggregator
from muster.aggregation.replay import Loaded, LocalParts
from muster.wire.arrays import DTYPES, encode
from muster.wire.encodings import ENCODINGS
from muster.wire.refs import digest
from tests.aggregation.making import Made, Tensors, data_of, frozen, rule

RULES = {
    "mean": rule("mean"),
    "mean of a giant": rule("mean"),
    "mean of wide updates": rule("mean"),
    "median": rule("median"),
    "trimmed-mean": rule("trimmed-mean", trim=2),
    "multi-krum": rule("multi-krum", byzantine=2),
    "lora": rule("lora"),
}


class ShuffledParts(LocalParts):
    """Does the parts of a stage in a random order, as workers do."""

    rng = random.Random(0)

    def run(self, plan: Plan) -> None:
        for stage in plan.stages:
            for part in self.rng.sample(stage.parts, len(stage.parts)):
                self.done[part] = stage.run(part, self)


def made(name: str, size: int = 40_000) -> Made:
    """A round of a rule, its updates in all encodings, some of them clipped; with a float64 tensor."""
    rng = np.random.default_rng(11)
    updates: list[Tensors] = [
        {"w": rng.standard_normal((size // 8, 8)).astype("f4"), "h": rng.standard_normal(3000).astype("f2"),
         "d": rng.standard_normal(77), "n": rng.integers(0, 9, 2)}
        for _ in range(16)
    ]  # fmt: skip
    for number, update in enumerate(updates if name == "lora" else ()):
        for layer, inputs, outputs, dtype in (("l", 70, 90, "f4"), ("m", 300, 20, "f8"), ("o", 33, 64, "f4")):
            update[layer + ".A"] = (rng.standard_normal((3, inputs)) / (1 + number % 3)).astype(dtype)
            update[layer + ".B"] = rng.standard_normal((outputs, 3)).astype(dtype)
    for number, update in enumerate(updates):
        update["w"][: size // 80] = (0.0, -0.0)[number % 2]  # zeros of both signs, as of weights that were pruned
        if name == "mean of wide updates":
            update["w"] *= np.exp(4 * rng.standard_normal(update["w"].shape)).astype("f4")
    clip: float | None = 215.0
    if name == "mean of a giant":
        updates[3]["w"][-1, -1], clip = 9e29, None  # clipped, it would be one no more
    encodings = [encoding for encoding in ENCODINGS if encoding != "float16" or name != "mean of wide updates"]
    optimizer = rule("sgd" if clip is None or name == "lora" else "adam")  # of a giant the latter's state is not finite
    found = frozen(updates, RULES[name], clip, encodings=encodings, optimizer=optimizer)
    # A norm is measured once, by whoever inspects, and then stands in the manifest; its last bits are that machine's.
    entries = tuple(replace(entry, norm=float(f"{entry.norm:.9g}")) for entry in found.manifest.entries)
    return replace(found, manifest=replace(found.manifest, entries=entries))


def fingerprint(made: Made, limits: Limits = NO_LIMITS) -> str:
    """The digest of the new checkpoint and of the optimizer's state."""
    rng = np.random.default_rng(5)
    tensors = {spec.name: (9 * rng.standard_normal(spec.shape)).astype(DTYPES[spec.dtype]) for spec in made.schema}
    tensors["w"][:100] = -0.0
    base = encode(tensors)
    manifest = replace(made.manifest, base=replace(made.manifest.base, sha256=digest(base)))
    plan = find_aggregator(manifest.aggregator).plan(manifest, made.schema, limits)
    parts = ShuffledParts(made.schema, Loaded(made.load), data_of(base))
    parts.run(plan)
    gradient = [(part, parts.done[part]) for part in plan.stages[-1].parts]
    files: dict[str, hashlib._Hash] = {}
    for name, piece in assemble(manifest, io.BytesIO(base), {}, gradient):
        files.setdefault(name, hashlib.sha256()).update(piece)
    return ",".join(f"{name}:{files[name].hexdigest()}" for name in sorted(files))


if __name__ == "__main__":
    for name in RULES:
        print(f"{name}\t{fingerprint(made(name))}")
