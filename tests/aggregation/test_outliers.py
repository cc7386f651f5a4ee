"""Who is an outlier among the norms of a round, and what the manifest makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.storage import rows
from muster.aggregation.manifest import Manifest, freeze
from muster.aggregation.outliers import LARGEST, LEAST_SCALE, SCALED, exceeds, norm_bound
from muster.wire.admin import FEWEST, Outliers, RoundConfig
from tests.aggregation.making import REF, Tensors, bits, frozen

RULE = Outliers(least=3)

NORM = st.just(0.0) | st.floats(1e-128, 1e30)
"""What the gate measures and a row can hold."""

NORMS = st.lists(NORM, min_size=3, max_size=30)
RULES = st.builds(Outliers, deviations=st.floats(1.0, 1000.0), least=st.just(3))


def bound_of(norms: Sequence[float], rule: Outliers = RULE) -> float:
    bound = norm_bound(rule, norms)
    assert bound is not None
    return bound


def test_the_bound_by_hand() -> None:
    # Median 5.5; the distances to it are 0.5, 0.5, 1.5, 1.5, 2.5, 2.5, 3.5, 3.5, 4.5 and 94.5, so MAD = 2.5.
    norms = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 100.0]
    assert bound_of(norms) == pytest.approx(5.5 + 6.0 * 1.4826 * 2.5)
    assert bound_of(norms, Outliers(deviations=3.0)) == pytest.approx(5.5 + 3.0 * 1.4826 * 2.5)
    # Six digits are kept: 1.6 / 3.
    assert bound_of([1 / 3] * 8) == 0.533333


def test_a_norm_at_the_bound_is_no_outlier_and_a_larger_one_is() -> None:
    bound = bound_of([1.0, 1.0, 1.0, 5.0])
    assert bound == 1.6
    assert not exceeds(bound, bound)
    assert exceeds(math.nextafter(bound, math.inf), bound)
    assert not exceeds(1e30, None)


def test_a_bound_can_always_be_stored_whatever_an_earlier_release_accepted() -> None:
    assert bound_of([4e38] * 5) == LARGEST <= rows.LARGEST
    assert bound_of([1e30] * 5, Outliers(deviations=1000.0, least=3)) < LARGEST


@given(NORMS, RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_norms_does_not_matter(norms: list[float], rule: Outliers, rng: Any) -> None:
    shuffled = list(norms)
    rng.shuffle(shuffled)
    assert norm_bound(rule, shuffled) == norm_bound(rule, norms)


@given(NORMS, RULES)
def test_never_more_than_half_are_outliers_and_never_the_smaller_half(norms: list[float], rule: Outliers) -> None:
    bound = norm_bound(rule, norms)
    outliers = [norm for norm in norms if exceeds(norm, bound)]
    assert len(outliers) <= len(norms) // 2
    assert sorted(outliers) == sorted(norms)[len(norms) - len(outliers) :]


@given(NORM, st.integers(3, 30), RULES)
def test_equal_norms_have_no_outlier(norm: float, count: int, rule: Outliers) -> None:
    assert not exceeds(norm, norm_bound(rule, [norm] * count))


@given(st.floats(1e-128, 1e29), st.lists(st.floats(1.0, 1.59), min_size=2, max_size=20))
def test_where_most_norms_are_equal_a_slightly_larger_one_is_no_outlier(norm: float, factors: list[float]) -> None:
    norms = [norm] * (len(factors) + 1) + [norm * factor for factor in factors]
    bound = norm_bound(RULE, norms)
    assert not any(exceeds(n, bound) for n in norms)
    assert exceeds(1.61 * norm, bound)


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=15), st.data(), RULES)
def test_a_minority_of_liars_does_not_move_the_bound_out_of_reach(honest: list[float], data: Any, rule: Outliers) -> None:
    liars = data.draw(st.lists(st.floats(1e4, 1e100), min_size=1, max_size=len(honest) - 1))
    highest = max(honest)
    # Both medians lie among the honest, so neither is larger than their largest norm.
    assert bound_of(honest + liars, rule) <= highest * (1 + rule.deviations * max(SCALED, LEAST_SCALE)) * (1 + 1e-5)


def test_where_most_updates_are_zeros_there_is_nothing_to_measure_by() -> None:
    assert norm_bound(RULE, [0.0, 0.0, 0.0, 5.0, 5.0]) is None
    assert norm_bound(RULE, [0.0, 0.0, 5.0, 5.0]) is not None


def test_no_rule_or_too_few_norms_mean_no_bound() -> None:
    norms = [1.0] * 7 + [100.0]
    assert norm_bound("none", norms) is None
    assert norm_bound(Outliers(least=9), norms) is None
    assert norm_bound(Outliers(least=8), norms) == 1.6


# ---- the manifest


UPDATES: list[Tensors] = [{"w": np.full(4, 0.5 + number / 10, "f4")} for number in range(4)]
LONG: Tensors = {"w": np.full(4, 1e9, "f4")}


def test_an_outlier_leaves_no_trace_in_what_is_computed() -> None:
    without, mixed = frozen(UPDATES), frozen([*UPDATES, LONG], outliers=RULE)
    assert [entry.key for entry in mixed.manifest.entries] == ["0", "1", "2", "3"]
    assert [entry.key for entry in mixed.manifest.quarantined] == ["4"]
    assert mixed.manifest.entries == without.manifest.entries
    assert bits(mixed.aggregate()) == bits(without.aggregate())
    assert bits(frozen([*UPDATES, LONG]).aggregate()) != bits(without.aggregate())


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=12))
def test_the_bound_can_be_computed_again_from_the_manifests_bytes(norms: list[float]) -> None:
    made = frozen(UPDATES).manifest
    entries = [replace(made.entries[0], client_id=f"client-{number:02d}", norm=norm) for number, norm in enumerate(norms)]
    config = RoundConfig(goal=100, quorum=1, outliers=RULE)
    manifest = Manifest.from_bytes(freeze("m.1", REF, config, None, None, entries).to_bytes())
    everyone = [entry.norm for entry in (*manifest.entries, *manifest.quarantined)]
    assert sorted(everyone) == sorted(norms)
    assert manifest.norm_bound == norm_bound(manifest.outliers, everyone)
    assert not any(exceeds(entry.norm, manifest.norm_bound) for entry in manifest.entries)
    assert all(exceeds(entry.norm, manifest.norm_bound) for entry in manifest.quarantined)
    assert manifest.entries


# ---- the configuration


def test_a_rule_that_would_never_be_applied_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"outliers.least must not exceed goal \(7\), got 8"):
        RoundConfig(goal=7, quorum=1, outliers=Outliers(least=8))
    assert RoundConfig(goal=8, quorum=1, outliers=Outliers(least=8)).outliers == Outliers(deviations=6.0, least=8)


@pytest.mark.parametrize("goal", [1, FEWEST - 1, FEWEST, 100])
def test_the_rule_is_on_by_default_whatever_the_goal_and_reads_back_from_what_is_stored(goal: int) -> None:
    config = RoundConfig(goal=goal, quorum=1)
    assert config.outliers == Outliers(least=FEWEST)
    assert RoundConfig.model_validate_json(config.model_dump_json()) == config
    assert RoundConfig.model_validate({"goal": goal, "quorum": 1, "outliers": {"deviations": 3.0}}).outliers


@pytest.mark.parametrize("off", ["none", None])
def test_the_rule_is_turned_off_by_name_and_what_was_stored_as_null_stays_off(off: str | None) -> None:
    config = RoundConfig.model_validate({"goal": 20, "quorum": 1, "outliers": off})
    assert config.outliers == "none"
    assert '"outliers":"none"' in config.model_dump_json()


@pytest.mark.parametrize("wrong", [{"deviations": 0.9}, {"deviations": math.inf}, {"least": 2}, {"most": 3}])
def test_a_rule_without_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Outliers.model_validate(wrong)
