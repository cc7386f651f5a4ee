"""The plan: every element of every update once, no part beyond a worker's limits, for any model and any round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation.grids import Grid
from muster.aggregation.plan import Limits, Part, joining, tiles
from muster.aggregation.ranges import elements, ranges, slices
from muster.aggregation.reading import Layout
from muster.aggregation.registry import find_aggregator
from muster.aggregation.rules.mean import Averaging
from muster.wire.encodings import BLOCK, ENCODINGS, encoded_schema
from muster.wire.magnitudes import packed
from muster.wire.tensors import ITEM_BYTES, Schema, TensorSpec, data_bytes
from tests.aggregation.making import REF, rule

schemas = st.lists(st.integers(0, 5000), min_size=1, max_size=6).map(
    lambda sizes: tuple(TensorSpec(name=f"t{n}", dtype="F32", shape=(size,)) for n, size in enumerate(sizes))
)


@given(schemas, st.integers(0, 9000))
def test_ranges_are_all_elements_once_no_wider_than_asked_and_begin_with_blocks(schema: Schema, width: int) -> None:
    found = ranges(schema, width)
    assert found[0][0] == 0
    assert found[-1][1] == elements(schema)
    assert all(stop == start for (_, stop), (start, _) in pairwise(found))
    assert all(stop - start <= max(width, 2 * BLOCK) for start, stop in found)
    for start, stop in found:
        assert all(piece.low % BLOCK == 0 for piece in slices(schema, start, stop))


@given(schemas, st.integers(1, 60), st.integers(0, 9000), st.integers(1, 40), st.integers(1, 20))
def test_tiles_are_every_update_of_every_element_once(schema: Schema, updates: int, width: int, reads: int, fan: int) -> None:
    parts = tiles(schema, updates, 4, Limits(16 * width, 1 << 60, reads), 16)
    covered = sum((part.last - part.first) * (part.stop - part.start) for part in parts)
    assert covered == updates * elements(schema)
    assert len({(part.start, part.first) for part in parts}) == len(parts)
    assert all(part.last - part.first <= reads for part in parts)
    levels = [parts, *joining(parts, lambda part: 8, Limits(1 << 60, 8 * fan, 1 << 60))]
    for before, after in pairwise(levels):
        assert [number for part in after for number in range(part.first, part.last)] == list(range(len(before)))
        for part in after:
            assert 1 <= part.last - part.first <= max(2, fan)
            assert {(one.start, one.stop) for one in before[part.first : part.last]} == {(part.start, part.stop)}
    assert [(part.start, part.stop) for part in levels[-1]] == ranges(schema, width)


@given(schemas, st.sampled_from(ENCODINGS), st.integers(0, 9000))
@settings(max_examples=40)
def test_the_bytes_of_all_ranges_are_the_bytes_of_the_file(schema: Schema, encoding: Any, width: int) -> None:
    layouts = [Layout.of(schema, encoding, start, stop) for start, stop in ranges(schema, width)]
    encoded = encoded_schema(schema, encoding)
    read = sum(layout.nbytes for layout in layouts)
    # What lies between scales and numbers is read along when it is short.
    assert read >= data_bytes(encoded)
    if encoding != "int8":
        assert read == data_bytes(encoded)


LIMITS = Limits(1 << 30, 16 << 30, 4000)
GRIDS = {
    "one limb": Grid(bits=0, room=40),
    "two limbs": Grid(bits=0, room=40, limbs=2),
    "its own": Grid(bits=None, room=40),
    "its own, two limbs": Grid(bits=None, room=40, limbs=2),
}
HELD = {"one limb": 16, "two limbs": 24, "its own": 28, "its own, two limbs": 36}


@pytest.mark.parametrize("updates", [1, 1000, 100_000])
@pytest.mark.parametrize("megabytes", [1, 100, 5000])
@pytest.mark.parametrize("grid", GRIDS)
def test_no_part_of_any_mean_is_beyond_the_limits_of_a_worker(megabytes: int, updates: int, grid: str) -> None:
    """A model of 5 GB, and 100,000 updates: a worker holds, reads and asks for no more than it may."""
    schema = _model(megabytes)
    averaging = Averaging(
        schema=schema,
        limits=LIMITS,
        first=3,
        count=updates,
        may=[GRIDS[grid]] * len(schema),
        pick=lambda inputs: pytest.fail("not now"),
    )
    peaks = averaging.peaks()
    for levels, element_bytes in ((peaks, 2), (averaging.sums(len(peaks)), 8 * GRIDS[grid].limbs)):
        for level, parts in enumerate(levels):
            assert [part.number for part in parts] == list(range(len(parts)))
            for part in parts[:: max(1, len(parts) // 500)]:
                width, inputs = part.stop - part.start, part.last - part.first
                assert HELD[grid] * width <= LIMITS.memory_bytes
                assert inputs <= LIMITS.reads
                assert (element_bytes if level else 4) * width * inputs <= LIMITS.read_bytes or inputs == (2 if level else 1)
        if levels:
            _check_ends(levels[-1], schema)
    assert bool(peaks) == grid.startswith("its own")
    stages = averaging.stages()
    assert [part.stage for stage in stages for part in stage.parts[:1]] == list(range(3, 3 + len(stages)))


@pytest.mark.parametrize("updates", [9, 1000, 100_000])
@pytest.mark.parametrize("megabytes", [1, 100, 5000])
@pytest.mark.parametrize("named", [rule("median"), rule("krum", byzantine=3)])
def test_no_columns_of_all_updates_are_beyond_the_limits_of_a_worker(megabytes: int, updates: int, named: Any) -> None:
    if updates > 2000 and (named.name == "krum" or megabytes > 50):
        pytest.skip("Krum refuses so many by name; and nobody sorts half a million gigabytes")
    schema = _model(megabytes)
    plan = find_aggregator(named).plan(_manifest(schema, updates, named), schema, LIMITS)
    for part in plan.stages[0].parts[:: max(1, len(plan.stages[0].parts) // 500)]:
        assert 4 * (part.stop - part.start) * updates <= min(LIMITS.memory_bytes, LIMITS.read_bytes)
        assert (part.first, part.last) == (0, updates)
    _check_ends(plan.stages[0].parts, schema)
    _check_ends(plan.stages[-1].parts, schema)


def test_only_ranges_with_a_tensor_that_needs_it_are_read_twice() -> None:
    schema = tuple(TensorSpec(name=f"t{n}", dtype="F32", shape=(10 * BLOCK,)) for n in range(5))
    may = [GRIDS["one limb"], GRIDS["its own"], *[GRIDS["two limbs"]] * 3]
    averaging = Averaging(
        schema=schema,
        limits=Limits(36 * 10 * BLOCK, 1 << 40, 1),
        first=0,
        count=3,
        may=may,
        pick=lambda inputs: pytest.fail("not now"),
    )
    peaks = averaging.peaks()
    first, last = peaks[0], peaks[-1]
    assert {(part.start, part.stop) for part in first} == {(10 * BLOCK, 20 * BLOCK)}
    assert (len(first), len(last), len(averaging.sums(len(peaks))[0])) == (3, 1, 15)


def _check_ends(parts: Sequence[Part], schema: Schema) -> None:
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == elements(schema)


def _model(megabytes: int) -> Schema:
    layers = 100
    return tuple(
        TensorSpec(name=f"layer{n:03d}", dtype="F32", shape=(megabytes * 1_000_000 // 4 // layers,)) for n in range(layers)
    )


def _manifest(schema: Schema, updates: int, named: Any) -> Any:
    from muster.aggregation.manifest import Entry, freeze
    from muster.wire.admin import RoundConfig

    size = sum(spec.elements * ITEM_BYTES[spec.dtype] for spec in schema)
    magnitudes = packed((0,) * len(schema), (-16,) * len(schema))
    entries = [
        Entry(
            client_id=f"c{n:06d}",
            key="",
            etag="",
            sha256="",
            nbytes=size,
            examples=10,
            norm=1.0,
            header_bytes=100,
            magnitudes=magnitudes,
        )
        for n in range(updates)
    ]
    return freeze("m.1", REF, RoundConfig(goal=100_000, quorum=1, aggregator=named), None, None, entries)
