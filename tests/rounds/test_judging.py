"""What judges say, and what follows: one judge, one voice, and one in five may lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.errors import Refusal
from chalicelib.registry.feasibility import check_rules
from chalicelib.registry.voting import ONE_IN, midmean, sign_test
from chalicelib.rounds.judgement import Judgement, Measurement, decide, typical
from chalicelib.rounds.round_id import RoundId
from muster.wire import messages as wire
from muster.wire.admin import RoundConfig
from muster.wire.deciding import ACCURACY

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = RoundConfig(goal=10, quorum=4)


def a_judge(number: int, candidate: Measurement, deployed: Measurement) -> Judgement:
    return Judgement(
        round=RoundId("toy", 1),
        client_id=f"judge-{number:02}",
        assigned_at=T0,
        report_by=T0,
        ttl=0,
        measured={"candidate": candidate, "deployed": deployed},
    )


def judges(*accuracies: tuple[float, float], examples: int = 10) -> list[Judgement]:
    """Of candidate and deployed version, a pair each."""
    measured = ([Measurement(examples, {"accuracy": accuracy}) for accuracy in pair] for pair in accuracies)
    return [a_judge(number, *pair) for number, pair in enumerate(measured)]


def differing(*differences: float) -> list[Judgement]:
    """Judges that found such differences."""
    return judges(*((max(0.0, d), max(0.0, -d)) for d in differences))


def config(**changes: Any) -> RoundConfig:
    return CONFIG.model_copy(update=changes)


NAN = Measurement(10, {}, "worse")
"""What a judge says that measured nothing finite."""


# ---- the decision


def test_a_candidate_is_deployed_when_enough_judges_find_it_better_by_more_than_the_threshold() -> None:
    assert decide(differing(*[0.02] * 5), CONFIG, None).deploy
    assert not decide(differing(*[0.25] * 5), config(min_gain=0.25), None).deploy
    assert not decide(differing(*[0.005] * 5), CONFIG, None).deploy
    assert not decide(differing(*[-0.1] * 5), CONFIG, None).deploy
    assert not decide(differing(*[0.4] * 5), CONFIG, "another version was deployed in the meantime").deploy


def test_a_gain_that_only_a_few_judges_see_is_no_confidence() -> None:
    seven_of_ten = differing(*[0.2] * 7, *[-0.01] * 3)
    decision = decide(seven_of_ten, CONFIG, None)
    assert decision.gain
    assert decision.gain > CONFIG.min_gain
    assert not decision.deploy
    assert "only 7 of 10 judges found it better, 3 worse (p 0.36)" in decision.reason
    assert decide(differing(*[0.2] * 8, *[-0.01] * 2), CONFIG, None).deploy


def test_what_a_judge_claims_to_have_weighs_nothing() -> None:
    honest = differing(*[-0.1] * 8)
    liars = [replace(e, client_id=f"liar-{n}") for n, e in enumerate(judges((1.0, 0.0), (1.0, 0.0), examples=10**9))]
    modest = [replace(e, client_id=f"liar-{n}") for n, e in enumerate(judges((1.0, 0.0), (1.0, 0.0), examples=1))]
    decision = decide(honest + liars, CONFIG, None)
    assert not decision.deploy
    assert decision.gain == pytest.approx(-0.1)
    assert decision.gain == decide(honest + modest, CONFIG, None).gain
    assert decision.judged
    assert decision.judged.examples == 10, "shown: the median of the claims"


@pytest.mark.parametrize("count", [5, 10, 15, 30])
def test_one_judge_in_five_neither_forces_a_worse_candidate_nor_blocks_one_that_all_others_find_better(count: int) -> None:
    liars = count // ONE_IN
    for lie in (1.0, -1.0):
        assert not decide(differing(*[-0.01] * (count - liars), *[lie] * liars), CONFIG, None).deploy
    clearly = decide(differing(*[0.05] * (count - liars), *[-1.0] * liars), CONFIG, None)
    assert clearly.gain == pytest.approx(0.05)
    assert clearly.deploy is (count > 5), "four voices of five are too few, were one of them bought"


def test_the_order_of_the_judges_does_not_matter() -> None:
    said = differing(0.3, -0.1, 0.0, 0.05, 0.05, 0.2)
    assert decide(said, CONFIG, None) == decide(said[::-1], CONFIG, None)


def test_without_enough_judges_there_is_no_evidence_and_no_deployment() -> None:
    half = replace(differing(1.0)[0], client_id="half", measured={"candidate": Measurement(1, {"accuracy": 1.0})})
    gone = replace(differing(1.0)[0], client_id="gone", withdrawn=True)
    decision = decide([*differing(1.0), half, gone], config(evaluation_quorum=2, evaluation_level=0.5), None)
    assert (decision.deploy, decision.gain, decision.candidate) == (False, None, None)
    assert "1 of at least 2" in decision.reason
    assert not decide(differing(*[1.0] * 4), config(evaluators=0), None).deploy


@pytest.mark.parametrize(("evaluators", "needed"), [(1, 1), (2, 2), (3, 3), (9, 3), (10, 4), (15, 5), (100, 34)])
def test_a_third_of_the_judges_that_are_wanted_must_speak_and_at_least_three(evaluators: int, needed: int) -> None:
    assert config(evaluators=evaluators).judges_needed == needed
    assert config(evaluators=evaluators, evaluation_quorum=1).judges_needed == 1


@pytest.mark.parametrize(("evaluators", "least"), [(1, 0.5), (2, 0.25)])
def test_so_few_judges_that_they_could_never_agree_must_be_asked_for_by_name(evaluators: int, least: float) -> None:
    with pytest.raises(Refusal, match="evaluation_level") as refused:
        check_rules(config(evaluators=evaluators))
    assert f"at least {least}" in str(refused.value.expected)
    check_rules(config(evaluators=evaluators, evaluation_level=least))
    check_rules(config(evaluators=0))
    check_rules(config(evaluators=3))


# ---- not finite


def test_a_version_of_which_nothing_finite_can_be_measured_is_below_all_others() -> None:
    fine = Measurement(10, {"accuracy": 0.0})
    assert a_judge(0, NAN, fine).difference(ACCURACY) == -1.0
    assert a_judge(0, fine, NAN).difference(ACCURACY) == 1.0
    assert a_judge(0, NAN, NAN).difference(ACCURACY) == 0.0
    diverged = [a_judge(n, NAN, Measurement(10, {"accuracy": 0.1, "loss": 3.0})) for n in range(5)]
    decision = decide(diverged, CONFIG, None)
    assert (decision.deploy, decision.gain, decision.candidate) == (False, -1.0, {"accuracy": 0.0})


def test_a_judge_may_say_that_a_version_is_worse_without_a_number() -> None:
    said = wire.EvaluationReport(round="toy.1", examples=3, verdict="worse")
    assert (said.metrics, said.verdict) == ({}, "worse")
    assert wire.EvaluationReport(round="toy.1", examples=3, metrics={"accuracy": 1.0}).verdict == "measured"
    for value, verdict in ((1.1, "measured"), (1.1, "worse"), (-0.1, "measured"), (5.4, "measured")):
        report = {"round": "toy.1", "examples": 3, "metrics": {"accuracy": value}, "verdict": verdict}
        with pytest.raises(ValidationError, match=rf"metrics\.accuracy must be a fraction from 0 to 1, got {value}"):
            wire.EvaluationReport.model_validate(report)
    assert wire.EvaluationReport(round="toy.1", examples=3, metrics={"mse": 12.5}).metrics == {"mse": 12.5}


# ---- what is shown


def test_a_metric_is_shown_when_most_judges_measured_it_and_nobody_takes_it_away_or_decides_it() -> None:
    honest = [Measurement(10, {"accuracy": 0.5 + n / 100, "loss": 1.0}) for n in range(8)]
    silent, loud = Measurement(10, {"accuracy": 0.5}), Measurement(10**9, {"accuracy": 1.0, "loss": 1e30, "greed": 1e30})
    found = typical([*honest, silent, loud], ACCURACY)
    assert found.keys() == {"accuracy", "loss"}
    assert found["loss"] == 1.0
    assert 0.5 <= found["accuracy"] <= 0.57


# ---- the two statistics


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([0.3], 0.3), ([0.1, 0.3], 0.2), ([1, 0.1, -1], 0.1), ([1, 0.1, 0.3, -1], 0.2), ([-1, 0, 0.1, 1, 1], 0.1),
        ([-1, -1, 0.1, 0.1, 0.4, 0.4, 1, 1], 0.25), ([-1] * 3 + [0.1, 0.1, 0.2, 0.4] + [1] * 3, 0.2),
    ],
)  # fmt: skip
def test_the_midmean_is_the_mean_of_the_middle_half(values: Sequence[float], middle: float) -> None:
    assert midmean(values) == pytest.approx(middle)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=30), st.data())
def test_whatever_a_quarter_say_the_gain_is_among_what_the_others_found(honest: list[float], data: st.DataObject) -> None:
    lies = data.draw(st.lists(st.floats(-1, 1), min_size=0, max_size=len(honest) // 3))
    assert min(honest) - 1e-12 <= midmean(honest + lies) <= max(honest) + 1e-12


@given(st.lists(st.sampled_from([-1e30, 1e30, 900.0, 901.5]), min_size=1, max_size=40), st.sampled_from([0, 3, 5]))
def test_rounding_never_leads_out_of_what_was_found(values: list[float], one_in: int) -> None:
    assert min(values) <= midmean(values, one_in) <= max(values)


def test_judges_that_are_trusted_need_not_be_a_majority_of_those_who_see_no_difference() -> None:
    """Four of twenty see the gain and nobody sees a loss: they could all be bought, where one in five can be."""
    said = differing(*[0.1] * 4, *[0.0] * 16)
    assert (decide(said, CONFIG, None).deploy, decide(said, CONFIG, None).gain) == (False, 0.0)
    trusted = decide(said, config(evaluation_liars=0), None)
    assert trusted.deploy
    assert trusted.gain == pytest.approx(0.02)
    assert trusted.judged
    assert trusted.judged.p == 1 / 16


@pytest.mark.parametrize(("one_in", "kept"), [(0, 20), (3, 2), (5, 10), (10, 14)])
def test_a_quarter_more_than_may_lie_are_left_out_on_either_side(one_in: int, kept: int) -> None:
    """Of 20: 0, 9 (and not all), 5, 3."""
    outside = (20 - kept) // 2
    assert midmean([-1.0] * outside + [0.25] * kept + [1.0] * outside, one_in) == pytest.approx(0.25)
    assert midmean([-1.0] * (outside + 1) + [0.25] * (kept - 1) + [1.0] * outside, one_in) < 0.25


def test_a_gain_that_half_of_the_judges_cannot_see_is_a_gain() -> None:
    """As of judges with ten examples each, when most of them find that both versions are right about all."""
    decision = decide(differing(*[0.1] * 7, *[0.0] * 8), CONFIG, None)
    assert decision.deploy
    assert decision.gain == pytest.approx(3 / 70)


@pytest.mark.parametrize(
    ("better", "worse", "bought", "p"),
    [(1, 0, 0, 1 / 2), (3, 0, 0, 1 / 8), (5, 0, 1, 1 / 16), (4, 1, 1, 5 / 16), (8, 2, 2, 37 / 256), (11, 4, 3, 794 / 4096),
     (0, 0, 0, 1.0), (2, 0, 2, 1.0), (0, 9, 2, 1.0)],
)  # fmt: skip
def test_the_sign_test_by_hand(better: int, worse: int, bought: int, p: float) -> None:
    assert sign_test(better, worse, bought) == p


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_the_tail_of_the_binomial(better: int, worse: int) -> None:
    tail = sum(math.comb(better + worse, k) for k in range(better, better + worse + 1))
    assert sign_test(better, worse, 0) == tail / 2 ** (better + worse)


@pytest.mark.parametrize("count", [5, 7, 10])
def test_a_candidate_that_is_no_better_is_deployed_no_more_often_than_the_level_says_whatever_a_fifth_say(count: int) -> None:
    """All that honest judges of an equal candidate can say, each as probable as the others, and all that liars can do."""
    bought = count // ONE_IN
    honest = list(product((0.5, -0.5), repeat=count - bought))
    for lies in product((1.0, 0.0, -1.0), repeat=bought):
        deployed = sum(decide(differing(*said, *lies), CONFIG, None).deploy for said in honest)
        assert deployed <= CONFIG.evaluation_level * len(honest)


def test_ten_thousand_judges_are_counted_exactly_too() -> None:
    assert 0.0 <= sign_test(10_000, 0, 2_000) < 1e-300
    assert sign_test(5_000, 5_000, 0) == pytest.approx(0.504, abs=1e-3)
