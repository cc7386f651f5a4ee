"""How much a client weighs beside the others, whatever it claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from muster.aggregation.claims import claim_cap
from muster.aggregation.manifest import Manifest, freeze
from muster.wire.admin import Outliers, RoundConfig
from tests.aggregation.making import REF, bits, frozen

CLAIM = st.integers(1, 10**9)
RATIO = st.floats(1.0, 1e6)


def cap_of(ratio: float, claims: list[int]) -> int:
    cap = claim_cap(ratio, claims)
    assert cap is not None
    return cap


def test_the_cap_by_hand() -> None:
    assert claim_cap(10.0, [3, 1, 2, 10**9]) == 20, "the lower of the two in the middle"
    assert claim_cap(1.5, [3, 5, 4]) == 6
    assert claim_cap(1.5, [3]) == 4, "rounded down"
    assert claim_cap("none", [3, 10**9]) is None


@given(RATIO, st.lists(CLAIM, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_the_claims_does_not_matter_and_half_of_them_are_believed(
    ratio: float, claims: list[int], rng: Any
) -> None:
    shuffled = list(claims)
    rng.shuffle(shuffled)
    cap = cap_of(ratio, claims)
    assert cap_of(ratio, shuffled) == cap >= 1
    assert sum(claim <= cap for claim in claims) * 2 >= len(claims)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=15), st.data())
def test_liars_who_are_at_most_half_cannot_push_the_cap_out_of_reach(honest: list[int], data: Any) -> None:
    liars = data.draw(st.lists(CLAIM, max_size=len(honest)))
    assert cap_of(10.0, honest + liars) <= 10 * max(honest)


# ---- the manifest

UPDATES = [{"w": np.full(4, number, "f4")} for number in (1, 2, 3, 4)]


def test_a_claim_beyond_the_cap_weighs_as_much_as_the_cap() -> None:
    lied = frozen(UPDATES, examples=[10, 20, 30, 10**9], max_examples=10**9, max_claim_ratio=3.0)
    said = frozen(UPDATES, examples=[10, 20, 30, 60])
    assert lied.manifest.claim_cap == 60
    assert [lied.manifest.weight(entry) for entry in lied.manifest.entries] == [10, 20, 30, 60]
    assert bits(lied.aggregate()) == bits(said.aggregate())


def test_max_examples_caps_first_and_uniform_weights_stay_one() -> None:
    both = frozen(UPDATES, examples=[10, 20, 30, 10**9], max_examples=25, max_claim_ratio=3.0).manifest
    assert [both.weight(entry) for entry in both.entries] == [10, 20, 25, 25]
    uniform = frozen(UPDATES, examples=[10, 20, 30, 10**9], weighting="uniform", max_claim_ratio=3.0).manifest
    assert [uniform.weight(entry) for entry in uniform.entries] == [1, 1, 1, 1]


def test_who_is_quarantined_has_no_say_in_the_cap() -> None:
    long = [{"w": np.full(4, 1e6, "f4")}] * 3
    without = frozen(UPDATES, examples=[10, 20, 30, 40], max_claim_ratio=3.0).manifest
    with_them = frozen(
        [*UPDATES, *long], examples=[10, 20, 30, 40, *[10**9] * 3], max_claim_ratio=3.0, outliers=Outliers(least=3)
    )
    assert len(with_them.manifest.quarantined) == 3
    assert with_them.manifest.claim_cap == without.claim_cap == 60


@given(st.lists(CLAIM, min_size=1, max_size=12), RATIO)
def test_the_cap_can_be_computed_again_from_the_manifests_bytes(claims: list[int], ratio: float) -> None:
    first = frozen(UPDATES).manifest
    entries = [
        replace(first.entries[0], client_id=f"client-{number:02d}", examples=claim) for number, claim in enumerate(claims)
    ]
    config = RoundConfig(goal=100, quorum=1, max_claim_ratio=ratio, max_examples=1000)
    frozen_again = freeze("m.1", REF, config, None, None, entries)
    manifest = Manifest.from_bytes(frozen_again.to_bytes())
    counted = [min(entry.examples, manifest.max_examples) for entry in manifest.entries]
    assert manifest.claim_cap == claim_cap(manifest.max_claim_ratio, counted)
    assert all(1 <= manifest.weight(entry) <= min(1000, manifest.claim_cap or 0) for entry in manifest.entries)


# ---- the configuration


def test_the_cap_is_on_by_default_and_turned_off_by_name() -> None:
    assert RoundConfig(goal=3, quorum=1).max_claim_ratio == 2.0
    assert RoundConfig.model_validate({"goal": 3, "quorum": 1, "max_claim_ratio": "none"}).max_claim_ratio == "none"


@pytest.mark.parametrize("wrong", [0.99, 1e7, "10", "off", None])
def test_a_ratio_without_meaning_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="max_claim_ratio"):
        RoundConfig.model_validate({"goal": 3, "quorum": 1, "max_claim_ratio": wrong})
