"""Which traces led to a version: those of the devices whose updates it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping

from chalicelib.rounds.receipt import Receipt
from muster.aggregation.manifest import Manifest

MOST_TRACES = 32
"""A version names so many: 2 kB of its row."""


def noting(receipts: Iterable[Receipt], parents: MutableMapping[str, str]) -> Iterator[Receipt]:
    """The receipts as they pass; whose report came in a trace leaves its parent behind, by client."""
    for receipt in receipts:
        if receipt.traceparent is not None:
            parents[receipt.client_id] = receipt.traceparent
        yield receipt


def traces_of(manifest: Manifest, parents: MutableMapping[str, str]) -> tuple[str, ...]:
    """The parents of the first updates of the manifest that have one. A version that is published again has the same."""
    found = (parents[entry.client_id] for entry in manifest.entries if entry.client_id in parents)
    return tuple(parent for parent, _ in zip(found, range(MOST_TRACES), strict=False))
