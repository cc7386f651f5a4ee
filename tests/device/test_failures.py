"""What a trainer throws has a word; the device says it once, goes on, and an operator sees how many said which."""

from __future__ import annotations

import errno
import itertools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bench.trouble.server import ROUND_SECONDS, refusal
from bench.trouble.simulation import Adds
from muster import device as sdk
from muster.device import Device, Evaluation, Refused, TrainingResult, UnfitResult, Untrusted
from muster.device.failures import BY_TYPE, LASTING, name_of, reason_of, text_of
from muster.device.loop import TOLD_TRIES, TRIES, Loop
from muster.device.participation import DEAF_SECONDS
from muster.wire.arrays import Array
from muster.wire.problems import Problem
from tests.device.stage import CHECK_IN, HEARTBEAT, REPORT, UPLOAD, Stage, judging
from tests.fleet import Drift, World

FAILURE = "/failure"
HOUR = 3600.0


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


class OutOfMemoryError(RuntimeError):
    """As torch's: `torch.OutOfMemoryError`, a RuntimeError."""


class Secretive(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def circle() -> Exception:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    return first


ERRORS: list[tuple[BaseException, str]] = [
    (MemoryError(), "out-of-memory"),
    (np._core._exceptions._ArrayMemoryError((1,), np.dtype("f4")), "out-of-memory"),  # type: ignore[attr-defined]
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out-of-memory"),
    (RuntimeError("CUDA error: out of memory"), "out-of-memory"),
    (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "out-of-memory"),
    (ValueError("out of memory"), "trainer-error"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "out-of-memory"),
    (OSError(errno.ENOSPC, "No space left on device"), "disk"),
    (OSError(errno.EROFS, "Read-only file system"), "disk"),
    (FileNotFoundError(2, "No such file", "data.csv"), "trainer-error"),
    (OSError("nobody knows"), "trainer-error"),
    (sdk.UnknownHyperparameter("x"), "unknown-hyperparameter"),
    (sdk.BadHyperparameter("x"), "bad-hyperparameter"),
    (sdk.MistypedHyperparameter("x"), "bad-hyperparameter"),
    (sdk.ForeignTensors("x"), "wrong-shape"),
    (sdk.TooLittleData("x"), "too-little-data"),
    (sdk.Diverged("x"), "not-finite"),
    (sdk.NoTimeLeft("x"), "no-time"),
    (sdk.MissingMetric("x"), "missing-metric"),
    (KeyError("x"), "trainer-error"),
    (StopIteration(), "trainer-error"),
    (RecursionError("maximum recursion depth exceeded"), "trainer-error"),
    (AssertionError(), "trainer-error"),
    (Secretive(), "trainer-error"),
    (ExceptionGroup("several", [MemoryError()]), "trainer-error"),
    (caused(RuntimeError("the worker died"), MemoryError()), "out-of-memory"),
    (caused(RuntimeError("x"), caused(ValueError("y"), OSError(errno.ENOSPC, "full"))), "disk"),
    (circle(), "trainer-error"),
    (Untrusted("another digest"), "bad-checkpoint"),
    (UnfitResult("no numbers"), "bad-result"),
]


@pytest.mark.parametrize(("error", "word"), ERRORS, ids=[type(error).__name__ + "-" + word for error, word in ERRORS])
def test_every_exception_has_a_word_by_its_type_or_by_what_caused_it(error: BaseException, word: str) -> None:
    assert reason_of(error) == word


def test_every_error_that_is_made_to_be_raised_is_in_the_table_and_is_exported() -> None:
    made = [kind for kind, _ in BY_TYPE if kind is not MemoryError]
    assert {kind.__name__ for kind in made} <= set(sdk.__all__)
    assert len({kind for kind, _ in BY_TYPE}) == len(BY_TYPE)
    for kind in made:
        assert issubclass(kind, (ValueError, TypeError, LookupError, RuntimeError))


def test_the_name_of_an_exception_is_sent_only_where_the_protocol_takes_it() -> None:
    assert name_of(KeyError()) == "KeyError"
    assert name_of(type("Fehlgröße", (Exception,), {})()) is None
    assert name_of(type("A" * 65, (Exception,), {})()) is None
    assert text_of(Secretive()) == "Secretive: (it has no text)"


# ---- the loop


class Throws(Adds):
    """A trainer that throws, and counts how often."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.trained = error, 0

    def train(self, base: Any, hyperparameters: Any) -> Any:
        self.trained += 1
        raise self.error

    def evaluate(self, weights: Any) -> Any:
        self.trained += 1
        raise self.error


@pytest.mark.parametrize(("error", "word"), ERRORS, ids=[type(error).__name__ + "-" + word for error, word in ERRORS])
def test_a_place_that_is_left_alone_is_given_up_once_with_the_word_for_why(stage: Stage, error: Any, word: str) -> None:
    trainer = Throws(error)
    stage.play(trainer, ROUND_SECONDS - 1)
    assert trainer.trained == (1 if word in LASTING else TRIES)
    (said,) = stage.bodies(FAILURE)
    assert (said["work"], said["reason"], said.get("error")) == ("train", word, type(error).__name__)
    assert stage.asked[-1][1] != FAILURE
    stage.play(Adds(), ROUND_SECONDS)
    assert stage.times(REPORT), "it takes part in the next round"
    assert len(stage.bodies(FAILURE)) == 1


def test_a_place_is_given_up_at_once_when_it_is_left_alone_and_then_the_device_waits_as_before(stage: Stage) -> None:
    stage.play(Throws(sdk.UnknownHyperparameter("momentun")), 60)
    (told,), asked = stage.times(FAILURE), stage.times(CHECK_IN)
    assert told == pytest.approx(asked[0], abs=0.1)
    assert all(later - told >= 30.0 for later in asked[1:])
    assert stage.bodies(CHECK_IN)[-1]["reported"] == "toy.1" if len(asked) > 1 else True


def test_who_gave_up_says_so_at_its_check_ins(stage: Stage) -> None:
    stage.play(Throws(sdk.NoTimeLeft("x")), ROUND_SECONDS - 1)
    assert stage.bodies(CHECK_IN)[-1]["reported"] == "toy.1"


@pytest.mark.parametrize(
    ("weights", "examples", "word"),
    [
        ({"w": np.array([0, np.nan, 0, 0], "f4")}, 10, "not-finite"), ({"w": np.full(4, np.inf, "f4")}, 10, "not-finite"),
        ({"w": np.zeros((4, 1), "f4")}, 10, "wrong-shape"), ({"w": np.zeros(4)}, 10, "wrong-shape"),
        ({"v": np.zeros(4, "f4")}, 10, "wrong-shape"), ({"w": np.zeros(4, "c8")}, 10, "bad-result"),
        ({"w": [[1], [2, 3]]}, 10, "bad-result"), ({"w": np.zeros(4, "f4")}, 0, "bad-result"),
        ({"w": np.zeros(4, "f4")}, None, "bad-result"), (None, 10, "bad-result"), (Secretive(), 10, "bad-result"),
    ],
)  # fmt: skip
def test_what_a_trainer_returns_and_nobody_can_send_has_a_word(stage: Stage, weights: Any, examples: Any, word: str) -> None:
    class Odd(Adds):
        def train(self, base: Any, hyperparameters: Any) -> Any:
            return TrainingResult(weights, examples)

    stage.play(Odd(), ROUND_SECONDS - 1)
    assert [said["reason"] for said in stage.bodies(FAILURE)] == [word]


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (MemoryError(), "out-of-memory"), (sdk.ForeignTensors("x"), "wrong-shape"), (None, "bad-result"),
        (Evaluation(10, {"loss": 0.5}), "missing-metric"), (Evaluation(0, {"accuracy": 0.5}), "bad-result"),
        (Evaluation(10, {"accuracy": 92.0}), "bad-result"),
    ],
)  # fmt: skip
def test_a_judge_that_leaves_its_place_alone_gives_it_up_with_the_word_for_why(stage: Stage, found: Any, word: str) -> None:
    class Judge(Adds):
        def evaluate(self, weights: Any) -> Any:
            if isinstance(found, BaseException):
                raise found
            return found

    stage.answers[CHECK_IN] = lambda: None if stage.bodies(FAILURE) else judging(1)
    stage.server.fleet = "waits"
    stage.play(Judge(), ROUND_SECONDS - 1)
    (said,) = stage.bodies(FAILURE)
    assert (said["work"], said["reason"]) == ("evaluate", word)
    assert stage.bodies(CHECK_IN)[-1]["judged"] == "toy.1"


def test_an_update_whose_length_is_refused_is_given_up(stage: Stage) -> None:
    stage.answers[UPLOAD] = lambda: refusal(Problem.WRONG_LENGTH)
    stage.play(Adds(), ROUND_SECONDS - 1)
    assert [said["reason"] for said in stage.bodies(FAILURE)] == ["bad-result"]


@pytest.mark.parametrize("problem", [Problem.ROUND_CLOSED, Problem.REPORT_CONFLICT, Problem.UNKNOWN_ROUND])
def test_of_a_place_that_the_server_has_closed_nothing_is_said(stage: Stage, problem: Problem) -> None:
    stage.answers[UPLOAD] = lambda: refusal(problem)
    stage.play(Adds(), ROUND_SECONDS - 1)
    assert stage.bodies(FAILURE) == []


def test_a_base_that_is_never_what_was_announced_is_said(stage: Stage) -> None:
    stage.answers["/base/boiler"] = lambda: httpx.Response(200, content=b"another")
    stage.play(Adds(), ROUND_SECONDS - 1)
    assert [said["reason"] for said in stage.bodies(FAILURE)] == ["bad-checkpoint"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_ends_the_process_and_nothing_is_said(stage: Stage, end: type[BaseException]) -> None:
    with pytest.raises(end):
        stage.play(Throws(end()), HOUR)
    assert stage.bodies(FAILURE) == []


# ---- telling the server


NOT_KNOWN: list[Callable[[], httpx.Response]] = [
    lambda: httpx.Response(403, json={"message": "Missing Authentication Token"}),
    lambda: httpx.Response(404, text="<html>not found</html>"),
    lambda: httpx.Response(405),
    lambda: refusal(Problem.FORBIDDEN),
]


@pytest.mark.parametrize("answer", NOT_KNOWN)
def test_a_server_of_before_is_asked_once_a_day_and_otherwise_nothing_changes(
    stage: Stage, answer: Callable[[], httpx.Response], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="muster")  # hundreds of failures would be written out
    stage.answers[FAILURE] = answer
    trainer = Throws(sdk.UnknownHyperparameter("x"))
    stage.play(trainer, 12 * HOUR)
    assert len(stage.times(FAILURE)) == 1
    assert trainer.trained > 12, "it tries in later rounds"
    assert not any("reported" in said for said in stage.bodies(CHECK_IN))
    stage.play(trainer, DEAF_SECONDS)
    assert len(stage.times(FAILURE)) == 2
    done = len(stage.times(REPORT))
    stage.play(Adds(), HOUR)
    assert len(stage.times(REPORT)) >= done + 5


@pytest.mark.parametrize(
    "problem",
    [Problem.ROUND_CLOSED, Problem.NOT_ASSIGNED, Problem.REPORT_CONFLICT, Problem.INVALID_BODY, Problem.UNKNOWN_ROUND],
)
def test_a_refusal_of_the_report_is_an_answer_and_no_trouble(
    stage: Stage, problem: Problem, caplog: pytest.LogCaptureFixture
) -> None:
    stage.answers[FAILURE] = lambda: refusal(problem)
    with caplog.at_level(logging.INFO, "muster.device"):
        stage.play(Throws(sdk.NoTimeLeft("x")), ROUND_SECONDS - 1)
    assert len(stage.times(FAILURE)) == 1
    assert "in vain" in caplog.text
    assert "trouble with a refusal" not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.ConnectError("refused"), lambda: httpx.Response(500), lambda: httpx.Response(502),
        lambda: httpx.Response(429), lambda: httpx.Response(503, headers={"Retry-After": "60"}),
        lambda: httpx.Response(200, text="no json"), lambda: httpx.Response(302, headers={"Location": "/x"}),
        lambda: httpx.Response(202, json=[1]),
    ],
)  # fmt: skip
def test_a_report_that_is_never_answered_is_given_up_and_loses_no_later_work(stage: Stage, answer: Any) -> None:
    """Only this route is in trouble: the rest of the device's work goes on."""
    stage.answers[FAILURE] = answer
    stage.play(Throws(sdk.NoTimeLeft("x")), 2 * HOUR)
    by_round = [sum(at // ROUND_SECONDS == number for at in stage.times(FAILURE)) for number in range(12)]
    assert max(by_round) <= TOLD_TRIES * 3, "three tries of three requests, and no storm"
    stage.play(Adds(), 2 * HOUR)
    assert len(stage.times(REPORT)) >= 6
    gaps = [later - earlier for earlier, later in itertools.pairwise(stage.times(HEARTBEAT))]
    assert all(450.0 <= gap <= 1350.1 for gap in gaps)


def test_a_key_that_is_refused_there_is_doubted_as_everywhere(stage: Stage) -> None:
    stage.answers[""] = lambda: refusal(Problem.UNAUTHENTICATED) if stage.times(FAILURE) else None
    with pytest.raises(Refused) as ended:
        stage.play(Throws(sdk.NoTimeLeft("x")), 24 * HOUR)
    assert ended.value.unauthenticated


def test_nothing_is_told_twice_when_the_answer_is_lost_and_a_round_later_nothing_is_left(stage: Stage) -> None:
    answers = iter([httpx.ReadTimeout("lost")] * 3)
    stage.answers[FAILURE] = lambda: next(answers, None)
    stage.play(Throws(sdk.NoTimeLeft("x")), 60)
    first = stage.bodies(FAILURE)
    assert len(first) == 4
    assert len({str(said) for said in first}) == 1, "the same again"


# ---- the whole way, with real devices and the real server


class Sometimes:
    """A trainer that does its work, unless it is told to do something else."""

    def __init__(self) -> None:
        self.does: Callable[[Mapping[str, Array]], Any] | None = None
        self._sound = Drift(0.1)

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> Any:
        return self.does(base) if self.does else self._sound.train(base, hyperparameters)

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        return self._sound.evaluate(weights)


def throwing(error: BaseException) -> Callable[[Any], Any]:
    def thrower(_: Any) -> Any:
        raise error

    return thrower


def returning(**weights: Any) -> Callable[[Mapping[str, Array]], Any]:
    return lambda base: TrainingResult({**base, **{name.replace("_", "."): array for name, array in weights.items()}}, 10)


WRONGS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an exception": (throwing(ValueError("no data today")), "trainer-error"),
    "one that cannot be shown": (throwing(Secretive()), "trainer-error"),
    "no memory": (throwing(MemoryError()), "out-of-memory"),
    "no memory of an accelerator": (throwing(OutOfMemoryError("CUDA out of memory")), "out-of-memory"),
    "a full disk": (throwing(OSError(errno.ENOSPC, "full")), "disk"),
    "an unknown hyperparameter": (throwing(sdk.UnknownHyperparameter("momentun")), "unknown-hyperparameter"),
    "nonsense": (lambda _: "trained", "bad-result"),
    "nothing": (lambda _: None, "bad-result"),
    "another shape": (returning(layer_bias=np.zeros(4, "f4")), "wrong-shape"),
    "NaN": (returning(layer_bias=np.full(3, np.nan, "f4")), "not-finite"),
}


@pytest.mark.parametrize("name", WRONGS)
def test_whatever_goes_wrong_in_a_round_the_operator_sees_it_and_the_device_takes_part_in_the_next_one(
    world: World, name: str
) -> None:
    does, word = WRONGS[name]
    world.model(goal=1, quorum=1, over_selection=2.0, evaluators=0, rounds=2)
    world.tick()
    broken, sound = world.devices(2)
    trainer = Sometimes()
    trainer.does = does
    loops = {broken: Loop(on_world_time(world, broken), trainer)}
    live(world, loops, lambda: bool(status(world).failed))
    assert status(world).failed == {word: 1}
    assert broken.receipt("toy.1").state == "failed"

    world.update(sound)
    world.deliver()
    trainer.does = None
    live(world, loops, lambda: status(world).number == 2 and status(world).accepted == 1)
    assert (world.operator.round("toy", 1).failed, world.operator.round("toy", 2).accepted) == ({word: 1}, 1)
    assert broken.receipt("toy.2").state == "accepted"


def on_world_time(world: World, device: Device) -> Device:
    """The device's clock and dice are the world's."""
    device.clock, device.random = (lambda: world.clock.now.timestamp()), (lambda: 0.5)
    device.beat_after(0.0)
    return device


def live(world: World, loops: Mapping[Device, Loop], until: Callable[[], bool]) -> None:
    """Let devices live, with a tick a minute, until something holds."""
    for _ in range(60):
        seconds = min(loop.turn() for loop in loops.values())
        if until():
            return
        world.clock.advance(max(seconds, 0.01))
        world.tick()
        world.deliver()
    raise AssertionError("it never came to that")


def status(world: World) -> Any:
    shown = world.operator.status("toy").round
    assert shown
    return shown


def test_a_judge_that_fails_is_seen_and_judges_the_next_candidate(world: World) -> None:
    class Blind(Sometimes):
        blind = True

        def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
            return Evaluation(10, {"loss": 0.5}) if self.blind else super().evaluate(weights)

    world.model(goal=1, quorum=1, over_selection=1.0, evaluators=1, rounds=2, evaluate_seconds=600.0)
    world.tick()
    (device,) = world.devices(1)
    trainer = Blind()
    loops = {device: Loop(on_world_time(world, device), trainer)}
    live(world, loops, lambda: bool(status(world).judges_failed))
    assert world.operator.round("toy", 1).judges_failed == {"missing-metric": 1}
    trainer.blind = False
    world.clock.advance(600)
    world.tick()

    live(world, loops, lambda: status(world).number == 2 and status(world).evaluations == 1)
    assert world.operator.round("toy", 2).judges_failed == {}
