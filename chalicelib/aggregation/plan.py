"""The plan: a manifest cut into parts, each small enough for one worker. Deterministic, and without effect on the result."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.aggregation.manifest import Entry, Manifest


@dataclass(frozen=True, slots=True)
class Part:
    """Entries `first` up to but not including `last` of a manifest, as part `index` of `count`."""

    index: int
    count: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """What names the part in keys and messages; it names the plan too, so that two plans never mix."""
        return f"{self.index:05d}-of-{self.count:05d}"

    def entries(self, manifest: Manifest) -> tuple[Entry, ...]:
        """The manifest's entries that this part sums."""
        return manifest.entries[self.first : self.last]


def plan(manifest: Manifest, part_bytes: int) -> tuple[Part, ...]:
    """Cut a manifest by clients into parts that each read at most `part_bytes` of updates, and at least one update."""
    largest = max(entry.nbytes for entry in manifest.entries)
    width = max(1, part_bytes // largest)
    starts = range(0, len(manifest.entries), width)
    return tuple(
        Part(index, len(starts), first, min(first + width, len(manifest.entries))) for index, first in enumerate(starts)
    )
