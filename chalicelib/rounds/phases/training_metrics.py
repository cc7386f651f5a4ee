"""What a version shows of its training: the counted clients' own numbers, of which none can be checked.

A client's number counts as much as its update does. Before it is counted it is held within some deviations of the middle one,
so that a liar, who may claim a loss of 1e30, moves what is shown no further than an honest extreme would; and one client
neither adds a metric nor takes one away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from chalicelib.rounds.receipt import Receipt
from muster.aggregation.manifest import Manifest
from muster.aggregation.outliers import SCALED

DEVIATIONS = 6.0
"""Scaled median absolute deviations from the median: beyond, a number is taken for this one."""


def training_metrics(manifest: Manifest, receipts: Iterable[Receipt]) -> dict[str, float]:
    """The mean of each metric that more than half of the manifest's clients report, weighted like their updates."""
    reported = {receipt.client_id: receipt.metrics or {} for receipt in receipts}
    found = dict[str, list[tuple[float, int]]]()
    for entry in manifest.entries:
        for name, value in reported.get(entry.client_id, {}).items():
            found.setdefault(name, []).append((value, manifest.weight(entry)))
    return {name: held_mean(pairs) for name, pairs in sorted(found.items()) if 2 * len(pairs) > len(manifest.entries)}


def held_mean(pairs: Sequence[tuple[float, int]]) -> float:
    """The mean of some values with weights, whatever their order; fewer than half of the values move it only so far."""
    middle = median(value for value, _ in pairs)
    reach = DEVIATIONS * SCALED * median(abs(value - middle) for value, _ in pairs)
    held = ((min(max(value, middle - reach), middle + reach), weight) for value, weight in pairs)
    return math.fsum(value * weight for value, weight in held) / sum(weight for _, weight in pairs)
