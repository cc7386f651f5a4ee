"""What judges measure of a candidate, and what follows from it (docs/judging.md).

A judge measures the candidate and the deployed version on the same local data, so the comparison is paired: what differs
between the two numbers is the model, not the client. One judge has one voice. What it says can be a lie, and how many examples
it says it has can be one too, so:

* the gain is the midmean of the judges' differences, the mean of their middle half: how loud one is does not matter;
* a sign test asks whether so many would have found the candidate better, were it not. Only the direction of a difference
  counts there, and as many of those in favour as may be bought are taken out first.

A rank test (Wilcoxon, Biometrics Bulletin 1, 1945; with zeros Pratt, JASA 54, 1959) weighs each direction by the rank of its
size, and a lie of -1 always has the highest rank: two such judges of ten leave a rank sum of at most 36 of 55, p = 0.21, and
nothing would ever be deployed. Hence the sign test.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chalicelib.instants import Instant
from chalicelib.registry.version import Judged
from chalicelib.rounds.round import Round
from muster.wire.admin import RoundConfig

ONE_IN = 5
"""One client in so many may lie, unless a model's configuration says otherwise."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One version on one client's data. `examples` is what the client claims; it is shown, and weighs nothing."""

    examples: int
    metrics: dict[str, float]
    verdict: Literal["measured", "worse"] = "measured"
    """`worse`: nothing finite could be measured, so the version is worse than any that can be."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One judge's place, and its measurements by role: `candidate` and `deployed`."""

    round: str
    client_id: str
    assigned_at: Instant
    report_by: Instant
    ttl: int
    measured: dict[str, Measurement] = field(default_factory=dict)
    withdrawn: bool = False
    """Its client's key was revoked before the round was decided."""

    @property
    def is_complete(self) -> bool:
        """Whether both versions were measured."""
        return self.measured.keys() >= {"candidate", "deployed"}

    @property
    def counts(self) -> bool:
        """Whether the judge has spoken, and was not taken out since."""
        return self.is_complete and not self.withdrawn

    @property
    def difference(self) -> float:
        """By how much this judge found the candidate better, in accuracy: -1 to 1.

        A version of which nothing finite could be measured is as far below any other as can be; two of them are alike.
        """
        candidate, deployed = (_accuracy(self.measured[role]) for role in ("candidate", "deployed"))
        if candidate is None or deployed is None:
            return float(deployed is None) - float(candidate is None)
        return candidate - deployed


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the evaluations: deploy or leave staged, and the reason in words.

    `candidate` are the metrics to show of it, `judged` what they rest on; both None without enough judges.
    """

    deploy: bool
    reason: str
    candidate: dict[str, float] | None = None
    judged: Judged | None = None

    @property
    def gain(self) -> float | None:
        """The gain in accuracy over the deployed version, the midmean of the judges' differences."""
        return self.judged.gain if self.judged else None


def midmean(values: Iterable[float], one_in: int = ONE_IN) -> float:
    """The mean of the middle half: without the lowest and the highest quarter, each rounded up, but never without all.

    That is for one liar in five. For another number a quarter more than may lie are left out on either side; with 0 nobody
    lies, and it is the plain mean. As long as no more than those are lies, of at least three values, the result lies between
    the lowest and the highest of the others (Tukey, Exploratory Data Analysis, 1977). The median would lie there for more
    liars, but is 0 whenever half of the judges see no difference, as judges with few examples mostly do.
    """
    ordered = sorted(values)
    trim = min(-(-5 * len(ordered) // (4 * one_in)), (len(ordered) - 1) // 2) if one_in else 0
    kept = ordered[trim : len(ordered) - trim]
    return math.fsum(kept) / len(kept)


def sign_test(better: int, worse: int, bought: int) -> float:
    """How probable it is that so many judges find a candidate better that is not, although `bought` say what they like.

    The one-sided sign test, exact: without the bought, each judge that sees a difference sees either one with probability
    1/2. Those that see none are left out (Dixon and Mood, JASA 41, 1946). The bought ones do most in favour of a candidate
    by finding it better; so that is what is assumed: P(X >= better - bought), X binomial of better + worse - bought, 1/2.
    """
    honest, least = better + worse - bought, better - bought
    if least <= 0:
        return 1.0
    tail = term = 1  # of binomial coefficients, from C(honest, honest) down to C(honest, least)
    for chosen in range(honest, least, -1):
        term = term * chosen // (honest - chosen + 1)
        tail += term
    return tail / (1 << honest)


def may_lie(judges: int, one_in: int) -> int:
    """How many of some judges may be bought, one in so many; 0 for none."""
    return judges // one_in if one_in else 0


def typical(measurements: Sequence[Measurement]) -> dict[str, float]:
    """The midmean of each metric that more than half of some clients measured, over those that did.

    Each counts once. The accuracy of a version of which nothing finite could be measured is 0.
    """
    named = Counter(name for measured in measurements for name in _shown(measured))
    return {
        name: midmean(shown[name] for measured in measurements if name in (shown := _shown(measured)))
        for name, count in sorted(named.items())
        if 2 * count > len(measurements)
    }


def is_due(rnd: Round, counted: int, now: datetime) -> bool:
    """Whether an evaluating round should be decided at `now`: enough judges are done, or their time is up."""
    return counted >= rnd.config.evaluators or (rnd.evaluate_by is not None and now >= rnd.evaluate_by)


def decide(evaluations: Sequence[Evaluation], config: RoundConfig, revision_moved: bool) -> Decision:
    """Whether the candidate is deployed: enough judges, a gain above `min_gain`, and a sign test at `evaluation_level`.

    Without enough judges there is no evidence, and with another deployment since there is no comparison: the version then
    stays staged. The order of the evaluations does not matter, nor do the examples that they claim.
    """
    counted = [evaluation for evaluation in evaluations if evaluation.counts]
    if len(counted) < config.judges_needed or not config.evaluators:
        return Decision(False, f"{len(counted)} of at least {config.judges_needed} judges reported")
    differences = [evaluation.difference for evaluation in counted]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    judged = Judged(
        judges=len(counted),
        better=better,
        worse=worse,
        gain=midmean(differences, config.evaluation_liars),
        p=sign_test(better, worse, may_lie(len(counted), config.evaluation_liars)),
        examples=sorted(e.measured["candidate"].examples for e in counted)[len(counted) // 2],
    )
    deploy, reason = _verdict(judged, config, revision_moved)
    return Decision(deploy, reason, typical([evaluation.measured["candidate"] for evaluation in counted]), judged)


def _verdict(judged: Judged, config: RoundConfig, revision_moved: bool) -> tuple[bool, str]:
    if revision_moved:
        return False, "another version was deployed in the meantime"
    voices = f"{judged.better} of {judged.judges} judges found it better, {judged.worse} worse (p {judged.p:.2g})"
    if judged.gain <= config.min_gain:
        return False, f"accuracy changed by {judged.gain:+.4f}, not more than {config.min_gain}: {voices}"
    if judged.p > config.evaluation_level:
        return False, f"accuracy rose by {judged.gain:.4f}, but only {voices}, above the level of {config.evaluation_level}"
    return True, f"accuracy rose by {judged.gain:.4f}, more than {config.min_gain}: {voices}"


def _accuracy(measured: Measurement) -> float | None:
    """The accuracy, or None when nothing finite could be measured."""
    return measured.metrics["accuracy"] if measured.verdict == "measured" else None


def _shown(measured: Measurement) -> dict[str, float]:
    return measured.metrics if measured.verdict == "measured" else {"accuracy": 0.0}
