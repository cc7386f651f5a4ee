"""The rule of what is kept, without any store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.registry.retention import LEAST_AGE, Fate, Kept, Reach, Review, Standing, StorageCount
from chalicelib.registry.sweep import Names
from muster.wire.admin import RetentionPage, RoundConfig
from muster.wire.refs import CheckpointRef, DeltaRef, OptimizerState, StateFile

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INSTANTS = st.none() | st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(seconds=1)])
AGES = st.sampled_from([timedelta(0), LEAST_AGE - timedelta(seconds=1), LEAST_AGE, timedelta(days=400)])


def names(number: int, *, digest: int | None = None, age: timedelta = LEAST_AGE, **other: Any) -> Names:
    checkpoint = CheckpointRef(
        version=number, sha256=f"{number if digest is None else digest:064d}", nbytes=100, header_bytes=9,
        min_update_bytes=1, max_update_bytes=2,
    )  # fmt: skip
    return Names(number=number, created_at=NOW - age, checkpoint=checkpoint, document_sha256="0" * 64, **other)


@st.composite
def models(draw: st.DrawFn) -> list[Names]:
    """A model's versions, newest first."""
    return [
        names(
            number,
            digest=draw(st.integers(0, 3)),
            age=draw(AGES),
            expires_at=draw(INSTANTS),
            deleted_at=draw(st.none() | st.just(NOW)) if number else None,
            pinned=draw(st.booleans()),
        )
        for number in reversed(range(draw(st.integers(1, 12))))
    ]


REACHES = st.dictionaries(st.integers(0, 11), st.sampled_from([(Kept.DEPLOYED,), (Kept.ROLLBACK, Kept.ROUND)]), max_size=3)
KEEPS = st.none() | st.integers(2, 12)


def looked(versions: list[Names], keep: int | None, reach: Reach) -> list[Standing]:
    review = Review(keep=keep, reach=reach, now=NOW)
    return [review.standing(version) for version in versions]


@settings(max_examples=60, deadline=None)
@given(models(), KEEPS, REACHES.map(Reach))
def test_what_is_kept_is_neither_marked_nor_deleted_and_what_is_not_is(
    versions: list[Names], keep: int | None, reach: Reach
) -> None:
    found = looked(versions, keep, reach)
    last = {version.number for version in [v for v in versions if v.deleted_at is None][: keep or None]}
    for standing in found:
        version, fate = standing.version, standing.fate
        kept = (
            version.number in last | {0} | reach.reasons.keys()
            or version.pinned
            or NOW - version.created_at < LEAST_AGE
        )  # fmt: skip
        if version.deleted_at is not None:
            assert fate is Fate.DELETED
        elif kept:
            assert fate is (Fate.KEPT if version.expires_at is None else Fate.UNMARKED)
            assert standing.because
        elif version.expires_at is None:
            assert fate is Fate.MARKED
        else:
            assert fate is (Fate.OVERDUE if version.expires_at <= NOW else Fate.EXPIRING)


@settings(max_examples=40, deadline=None)
@given(models(), KEEPS, REACHES.map(Reach), st.integers(1, 12))
def test_a_list_in_pages_says_what_one_look_says(versions: list[Names], keep: int | None, reach: Reach, page: int) -> None:
    found: list[Standing] = []
    newer = 0
    for start in range(0, len(versions), page):
        review = Review(keep=keep, reach=reach, now=NOW, newer=newer)
        found += [review.standing(version) for version in versions[start : start + page]]
        newer = review.newer
    assert found == looked(versions, keep, reach)


@settings(max_examples=40, deadline=None)
@given(models(), st.integers(2, 11), REACHES.map(Reach))
def test_whoever_keeps_more_versions_deletes_none_that_keeping_fewer_would_not(
    versions: list[Names], keep: int, reach: Reach
) -> None:
    fewer, more = looked(versions, keep, reach), looked(versions, keep + 1, reach)
    assert all(set(few.because) <= set(many.because) for few, many in zip(fewer, more, strict=True))
    assert not any(one.because for one in looked(versions, None, reach) if one.fate is Fate.OVERDUE)


@settings(max_examples=40, deadline=None)
@given(models(), KEEPS, REACHES.map(Reach))
def test_a_checkpoint_is_freed_only_if_no_kept_version_shares_it(versions: list[Names], keep: int | None, reach: Reach) -> None:
    count, found = StorageCount(), looked(versions, keep, reach)
    for standing in found:
        count.add(standing)
    total = count.total(NOW)
    there = [one for one in found if one.fate is not Fate.DELETED]
    digests = {one.version.checkpoint.sha256 for one in there}
    kept = {one.version.checkpoint.sha256 for one in there if one.because}
    assert (total.checkpoints.count, total.checkpoints.nbytes) == (len(digests), 100 * len(digests))
    assert total.expiring.nbytes == 100 * len(digests - kept)
    assert total.expiring.count == sum(not one.because for one in there)
    assert total.deleted == len(found) - len(there)


def test_states_and_deltas_are_counted_beside_checkpoints_each_once() -> None:
    state = OptimizerState("sgd", 1, (StateFile("m", "a" * 64, 30),))
    shared = [names(number, optimizer=state) for number in (2, 1)]
    newest = names(3)
    newest = Names(
        number=3,
        created_at=newest.created_at,
        checkpoint=CheckpointRef(
            version=3, sha256="3" * 64, nbytes=100, header_bytes=9, min_update_bytes=1, max_update_bytes=2,
            deltas=(DeltaRef("1" * 64, 7), DeltaRef("2" * 64, 8)),
        ),
        document_sha256="0" * 64,
    )  # fmt: skip
    count = StorageCount()
    for standing in looked([newest, *shared], 2, Reach()):
        count.add(standing)
    total = count.total(NOW)
    assert (total.checkpoints.count, total.states.count, total.states.nbytes) == (3, 1, 30)
    assert (total.deltas.count, total.deltas.nbytes) == (2, 15)
    assert (total.expiring.count, total.expiring.nbytes) == (1, 100), "its state is shared with one that is kept"


@pytest.mark.parametrize("keep", [-1, 0, 1, 100_001, 2.5, True, "many", float("nan")])
def test_how_many_are_kept_is_a_whole_number_of_at_least_two(keep: Any) -> None:
    with pytest.raises(ValidationError):
        RoundConfig(goal=1, quorum=1, keep_versions=keep)
    if keep is not True:
        with pytest.raises(ValidationError):
            RetentionPage(keep_versions=keep)
