"""Columns: all updates of every element once, no part beyond a worker's limits, for any model and any round; and the blocks
that they are made of.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muster.aggregation.columns import COPIES, Cell, Columns
from muster.aggregation.plan import Limits, Part, Rows
from muster.aggregation.ranges import elements
from muster.aggregation.registry import find_aggregator
from muster.wire.admin import Rule
from muster.wire.arrays import DTYPES, decode, encode, schema_of
from muster.wire.encodings import BLOCK
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, TensorSpec
from tests.aggregation.making import rule
from tests.aggregation.planning import LIMITS, check_ends, layers, unread

LEAST = 2 * BLOCK
"""No range need be narrower, whatever the limits."""

schemas = st.lists(st.tuples(st.sampled_from(["F32", "I64"]), st.integers(0, 20_000)), min_size=1, max_size=5).map(
    lambda found: tuple(TensorSpec(name=f"t{n}", dtype=dtype, shape=(size,)) for n, (dtype, size) in enumerate(found))
)
limits = st.builds(Limits, st.integers(1, 1 << 24), st.integers(1, 1 << 26), st.integers(1, 200))


def cell(schema: Schema, float_bytes: int = 4) -> Cell:
    counters = sum(spec.elements for spec in schema if not spec.is_float)
    return Cell(read_bytes=8 if counters else 4, float_bytes=float_bytes, counters=counters)


@given(schemas, st.integers(1, 300), limits)
@settings(max_examples=60)
def test_every_stage_has_every_element_of_every_update_once_and_joins_what_the_one_before_made(
    schema: Schema, updates: int, limits: Limits
) -> None:
    columns = Columns.of(schema, updates, cell(schema), limits)
    for stage, parts in enumerate(columns.stages):
        assert [(part.stage, part.number) for part in parts] == [(stage, number) for number in range(len(parts))]
        tiles = [(part.start, *columns.rows(part)) for part in parts]
        assert len(set(tiles)) == len(parts)
        area = sum((part.stop - part.start) * (last - first) for part, (_, first, last) in zip(parts, tiles, strict=True))
        assert area == updates * elements(schema)
    assert all(columns.rows(part) == (0, updates) for part in columns.parts)
    check_ends(columns.parts, schema)
    for before, after in pairwise(columns.stages):
        for part in after:
            joined = before[part.first : part.last]
            assert all(other.start <= part.start and part.stop <= other.stop for other in joined)
            edges = [columns.rows(other) for other in joined]
            assert all(last == first for (_, last), (first, _) in pairwise(edges))
            assert (edges[0][0], edges[-1][1]) == columns.rows(part)


@given(schemas, st.integers(1, 130_000), limits, st.sampled_from([4, 8]))
@settings(max_examples=40)
@example((TensorSpec(name="mask", dtype="I64", shape=(1 << 20,)),), 1000, LIMITS, 4)
def test_no_part_reads_more_objects_or_more_bytes_or_holds_more_than_a_worker_may(
    schema: Schema, updates: int, limits: Limits, float_bytes: int
) -> None:
    schema = schema[:2]
    one = cell(schema, float_bytes)
    columns = Columns.of(
        schema, updates, one, Limits(max(limits.memory_bytes, updates * 4000), limits.read_bytes, limits.reads)
    )
    room = max(limits.memory_bytes, updates * 4000)
    for parts in columns.stages:
        for part in parts[:: max(1, len(parts) // 200)]:
            first, last = columns.rows(part)
            width, height = part.stop - part.start, last - first
            counters = min(width, one.counters)
            held = 8 * counters + float_bytes * (width - counters)
            read = held if part.stage else one.read_bytes * width
            assert part.last - part.first <= max(2, limits.reads)
            assert held * height * (1 if parts is columns.parts else COPIES) <= room or width <= LEAST
            assert read * height <= limits.read_bytes or width <= LEAST


@pytest.mark.parametrize("updates", [9, 4000, 130_000])
@pytest.mark.parametrize("megabytes", [1, 100, 5000])
def test_the_largest_rounds_and_models_stay_within_a_function_as_deployed(megabytes: int, updates: int) -> None:
    if updates * megabytes > 200_000_000:
        pytest.skip("nobody sorts half a million gigabytes")
    schema = layers(megabytes)
    columns = Columns.of(schema, updates, cell(schema), LIMITS)
    for parts in columns.stages:
        for part in parts[:: max(1, len(parts) // 500)]:
            first, last = columns.rows(part)
            nbytes = 4 * (part.stop - part.start) * (last - first)
            assert nbytes * (1 if parts is columns.parts else COPIES) <= LIMITS.memory_bytes
            assert part.last - part.first <= LIMITS.reads
    check_ends(columns.parts, schema)


@pytest.mark.parametrize(("updates", "reads"), [(1000, 2000), (10_000, 11_400), (100_000, 154_036)])
def test_a_round_a_hundred_times_as_large_asks_for_about_a_hundred_times_as_many_reads(updates: int, reads: int) -> None:
    """Of updates of 1.4 MB. With columns alone it would be 2,000, 140,000 and 17,100,000."""
    columns = Columns.of(layers(1.4, 1), updates, cell(layers(1.4, 1)), LIMITS)
    assert sum(part.last - part.first for parts in columns.stages for part in parts) == reads


@pytest.mark.parametrize("named", [rule("median"), rule("trimmed-mean", trim=9), rule("krum", byzantine=3)])
def test_what_a_worker_may_read_at_once_is_one_stage_of_columns_of_the_updates_themselves(named: Rule) -> None:
    schema = layers(100)
    plan = find_aggregator(named).plan(unread(schema, 1000, named), schema, LIMITS)
    assert {(part.first, part.last) for part in plan.stages[0].parts} == {(0, 1000)}
    check_ends(plan.stages[0].parts, schema)
    check_ends(plan.stages[-1].parts, schema)
    assert [len(stage.parts) for stage in plan.stages] == ([94, 1, 1] if named.name == "krum" else [94])


def test_krum_adds_up_as_many_matrices_at_once_as_a_worker_may_read() -> None:
    named, schema = rule("krum", byzantine=3), layers(5000)
    plan = find_aggregator(named).plan(unread(schema, 2000, named), schema, LIMITS)
    assert [len(stage.parts) for stage in plan.stages[:3]] == [9319, 18, 1]
    for stage in plan.stages[1:3]:
        assert all(8 * 2000**2 * (part.last - part.first) <= LIMITS.read_bytes for part in stage.parts)
    for before, after in pairwise(plan.stages[:3]):
        joined = [number for part in after.parts for number in range(part.first, part.last)]
        assert joined == list(range(len(before.parts)))
    assert [stage.parts[0].stage for stage in plan.stages] == list(range(len(plan.stages)))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9), st.sampled_from(["F32", "F64"]), st.data())
@settings(max_examples=40)
def test_rows_of_a_result_lie_in_its_file_where_its_schema_says(
    floats: int, counters: int, updates: int, dtype: str, data: st.DataObject
) -> None:
    rng = np.random.default_rng(floats)
    made = {
        "floats": rng.standard_normal((floats, updates)).astype(DTYPES[dtype]),
        "counters": rng.integers(0, 99, (counters, updates)),
    }
    stored = {name: array for name, array in made.items() if array.size}
    file = encode(stored)
    wanted = {}
    for name, array in stored.items():
        low = data.draw(st.integers(0, len(array)))
        wanted[name] = low, data.draw(st.integers(low, len(array)))
    rows = Rows(part=Part(stage=0, number=0, first=0, last=1, start=0, stop=1), schema=schema_of(stored), wanted=wanted)
    found = {spec.name: (spec, begin) for spec, begin in rows.spans()}
    assert found.keys() == stored.keys()
    for name, (low, high) in wanted.items():
        spec, begin = found[name]
        assert file[begin : begin + spec.nbytes] == stored[name][low:high].tobytes()
        assert spec.shape == (high - low, updates)
    assert {name: array.tobytes() for name, array in decode(file, HEADER_LIMIT_BYTES).items()} == {
        name: array.tobytes() for name, array in stored.items()
    }
