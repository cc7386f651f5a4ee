"""What a trainer does not understand of a round's hyperparameters it refuses, by a sentence."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError
from sklearn.linear_model import SGDClassifier

from muster import SklearnTrainer, TorchTrainer
from muster.training.hyperparameters import Hyperparameter, read, schema_of
from muster.training.torch import weights
from muster.wire.admin import RoundConfig
from tests.training.making import data, module

ALL = (
    Hyperparameter(name="steps", type=int, default=3, least=1, most=9, says=""),
    Hyperparameter(name="rate", type=float, default=0.5, above=0, says=""),
    Hyperparameter(name="share", type=float, default=0.0, least=0, below=1, says=""),
    Hyperparameter(name="noisy", type=bool, default=False, says=""),
    Hyperparameter(name="kind", type=str, default="plain", says=""),
)


def test_what_is_not_given_is_as_declared_and_a_whole_number_is_a_number() -> None:
    found = read(ALL, {"rate": 2, "noisy": True})
    assert found == {"steps": 3, "rate": 2.0, "share": 0.0, "noisy": True, "kind": "plain"}
    assert isinstance(found["rate"], float)


def test_a_schedule_over_rounds_gives_whole_numbers_as_floats_and_they_are_whole() -> None:
    assert repr(read(ALL, {"steps": 4.0})["steps"]) == "4"


BAD: dict[str, tuple[str, Any, type[Exception], str]] = {
    "misspelt": ("stpes", 3, ValueError, "unknown hyperparameter 'stpes': did you mean 'steps'?"),
    "unlike any": ("q", 3, ValueError, "unknown hyperparameter 'q': expected one of kind, noisy, rate, share, steps"),
    "a fraction": (
        "steps",
        2.5,
        TypeError,
        "hyperparameter 'steps': expected a whole number at least 1 and at most 9, got 2.5 (float)",
    ),
    "true for a number": ("steps", True, TypeError, "expected a whole number at least 1 and at most 9, got True (bool)"),
    "true for a rate": ("rate", True, TypeError, "expected a number more than 0, got True (bool)"),
    "a text for a rate": ("rate", "0.1", TypeError, "hyperparameter 'rate': expected a number more than 0, got '0.1' (str)"),
    "one for true": ("noisy", 1, TypeError, "hyperparameter 'noisy': expected true or false, got 1 (int)"),
    "a number for a text": ("kind", 1, TypeError, "hyperparameter 'kind': expected a text, got 1 (int)"),
    "too few": ("steps", 0, ValueError, "hyperparameter 'steps': expected a whole number at least 1 and at most 9, got 0"),
    "too many": ("steps", 10, ValueError, "at most 9, got 10"),
    "at a bound": ("rate", 0.0, ValueError, "expected a number more than 0, got 0.0"),
    "at another bound": ("share", 1.0, ValueError, "expected a number at least 0 and less than 1, got 1.0"),
    "not a number": ("rate", math.nan, ValueError, "expected a number more than 0, got nan"),
    "infinite": ("rate", math.inf, ValueError, "expected a number more than 0, got inf"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_with_its_name_what_was_expected_and_what_came(case: str) -> None:
    name, value, kind, says = BAD[case]
    with pytest.raises(kind) as refused:
        read(ALL, {name: value})
    assert says in str(refused.value)


@pytest.mark.parametrize("trainer", [TorchTrainer, SklearnTrainer])
def test_what_trainers_declare_is_told_in_full_and_its_default_is_within_its_bounds(trainer: Any) -> None:
    names = [one.name for one in trainer.HYPERPARAMETERS]
    assert len(set(names)) == len(names)
    for one in trainer.HYPERPARAMETERS:
        assert one.says
        assert one.read(one.default) == one.default


def test_trainers_refuse_what_they_do_not_declare() -> None:
    made = TorchTrainer(module(), data(), data())
    base = weights(module())
    with pytest.raises(ValueError, match="unknown hyperparameter 'learningrate': did you mean 'learning_rate'"):
        made.train(base, {"learningrate": 0.1})
    with pytest.raises(ValueError, match=r"'momentum': the optimizer 'adam' takes none, got 0.9"):
        TorchTrainer(module(), data(), data(), optimizer="adam").train(base, {"momentum": 0.9})
    inputs, labels = (tensor.numpy() for tensor in data().tensors)
    other = SklearnTrainer(SGDClassifier(), (inputs, labels), (inputs, labels), classes=[0, 1])
    with pytest.raises(ValueError, match="unknown hyperparameter 'batch_size': expected one of epochs, learning_rate"):
        other.train({}, {"batch_size": 3})


def test_an_operator_is_told_what_a_trainer_declares_and_refused_what_the_trainer_would_refuse() -> None:
    schema = schema_of(TorchTrainer)
    assert schema is not None
    assert schema.keys() == {one.name for one in TorchTrainer.HYPERPARAMETERS}
    told: dict[str, Any] = {"goal": 1, "quorum": 1, "hyperparameter_schema": schema}
    assert RoundConfig.model_validate_json(RoundConfig.model_validate(told).model_dump_json()).hyperparameter_schema == schema
    with pytest.raises(ValidationError, match="unknown hyperparameter 'learningrate': did you mean 'learning_rate'"):
        RoundConfig.model_validate({**told, "hyperparameters": {"learningrate": 0.1}})


def test_a_trainer_that_declares_nothing_has_no_schema_and_nonsense_is_refused() -> None:
    class Nonsense:
        HYPERPARAMETERS = ("epochs",)

    assert schema_of(object()) is None
    with pytest.raises(TypeError, match="HYPERPARAMETERS: expected a sequence of"):
        schema_of(Nonsense)


@pytest.mark.parametrize(
    ("said", "error"),
    [({"type": list}, TypeError), ({"type": str, "least": 1}, ValueError), ({"type": int, "least": 3, "most": 2}, ValueError)],
)
def test_a_declaration_that_means_nothing_is_refused_where_it_is_made(said: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        Hyperparameter(name="x", default=1, says="", **said)
