"""The plan: every element of every update once, no part beyond a worker's limits, for any model and any round."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation.grids import Grid
from muster.aggregation.plan import Limits, joining, tiles
from muster.aggregation.ranges import elements, ranges, slices
from muster.aggregation.reading import Layout
from muster.aggregation.rules.mean import Averaging
from muster.wire.encodings import BLOCK, ENCODINGS, encoded_schema
from muster.wire.tensors import Schema, TensorSpec, data_bytes
from tests.aggregation.planning import LIMITS, check_ends, layers

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


@given(schemas, st.integers(0, 9000), st.integers(0, 4000))
def test_a_range_cut_again_is_all_its_elements_once_in_no_wider_ranges_that_begin_with_blocks(
    schema: Schema, outer: int, inner: int
) -> None:
    for start, stop in ranges(schema, outer):
        found = ranges(schema, inner, start, stop)
        assert (found[0][0], found[-1][1]) == (start, stop)
        assert all(end == begin for (_, end), (begin, _) in pairwise(found))
        assert all(end - begin <= max(inner, 2 * BLOCK) for begin, end in found)
        assert all(piece.low % BLOCK == 0 for begin, end in found for piece in slices(schema, begin, end))
    assert ranges(schema, outer) == ranges(schema, outer, 0, elements(schema))


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
    schema = layers(megabytes)
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
            check_ends(levels[-1], schema)
    assert bool(peaks) == grid.startswith("its own")
    stages = averaging.stages()
    assert [part.stage for stage in stages for part in stage.parts[:1]] == list(range(3, 3 + len(stages)))


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
