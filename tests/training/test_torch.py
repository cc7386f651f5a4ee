"""The torch trainer: its bits, its buffers, the proximal term, optimizers, schedules, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from examples.digits.model import HYPERPARAMETERS, network
from muster import TorchTrainer
from muster.device.update import delta
from muster.training.running import TrainingRun
from muster.training.schedules import SCHEDULES, cosine, warmup
from muster.training.tasks import regression
from muster.training.torch import checkpoint, load, weights
from muster.wire.arrays import Array, decode
from muster.wire.tensors import HEADER_LIMIT_BYTES, parse_header
from tests.training.making import Plain, data, digest, module


def trainer(seed: int = 0) -> TorchTrainer:
    return TorchTrainer(module(), data(), data(1), seed=seed)


def distance(a: Mapping[str, Array], b: Mapping[str, Array]) -> float:
    return float(sum(np.square(a[name] - b[name]).sum() for name, _ in module().named_parameters()) ** 0.5)


def test_training_learns_and_says_how_well() -> None:
    made, base = trainer(), weights(module())
    before = made.evaluate(base).metrics["accuracy"]
    result = made.train(base, {"epochs": 20, "batch_size": 16, "learning_rate": 0.1, "momentum": 0.9})
    after = made.evaluate(result.weights).metrics
    assert result.examples == 60
    assert result.metrics["train_loss"] < 0.3
    assert result.metrics["epochs_done"] == 20
    assert after["accuracy"] > max(0.85, before)
    assert after["loss"] < 1.0


def test_training_is_reproducible_and_leaves_the_base_alone() -> None:
    base = weights(module())
    kept = {name: array.copy() for name, array in base.items()}
    first, second = (trainer(7).train(base, {"epochs": 2}) for _ in range(2))
    assert all((first.weights[name] == second.weights[name]).all() for name in base)
    assert all((base[name] == kept[name]).all() for name in base)


def test_the_proximal_term_keeps_a_client_near_its_base() -> None:
    base = weights(module())
    rules = {"epochs": 10, "learning_rate": 0.05}
    free = trainer().train(base, rules)
    held = trainer().train(base, {**rules, "proximal_mu": 5.0})
    assert distance(held.weights, base) < 0.7 * distance(free.weights, base)


def test_the_gradient_of_the_proximal_term_is_mu_times_the_distance() -> None:
    made = trainer()
    base = {name: np.zeros_like(array) for name, array in weights(module()).items()}
    load(made._setup.module, base)
    settings = {"epochs": 1, "batch_size": 16, "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0, "proximal_mu": 0.5}
    parameters = list(made._setup.module.parameters())
    drawn_to = {id(parameter) for parameter in parameters}
    run = TrainingRun(made._setup, data(), settings=settings, generator=torch.Generator(), drawn_to=drawn_to)
    load(made._setup.module, weights(module()))
    term = run._proximal()
    assert isinstance(term, torch.Tensor)
    torch.autograd.backward(term)
    for parameter in parameters:
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, 0.5 * parameter)


def test_batch_norms_buffers_travel_and_the_counter_stays_an_integer() -> None:
    base = weights(module())
    update = decode(delta(base, trainer().train(base, {"epochs": 1, "batch_size": 20})), HEADER_LIMIT_BYTES)
    assert update["1.num_batches_tracked"].dtype == np.int64
    assert update["1.num_batches_tracked"] == 3
    assert update["1.running_mean"].dtype == np.float32
    assert np.abs(update["1.running_var"]).max() > 0


def test_a_checkpoint_is_the_whole_state_and_another_modules_is_refused() -> None:
    made = module()
    arrays = decode(checkpoint(made), HEADER_LIMIT_BYTES)
    assert arrays.keys() == made.state_dict().keys()
    specs = parse_header(checkpoint(made), HEADER_LIMIT_BYTES).specs
    assert {spec.name for spec in specs if spec.is_buffer} == {name for name, _ in made.named_buffers()} != set()
    with pytest.raises(ValueError, match="tensor 'bias': the module has it, and the base does not"):
        load(nn.Linear(4, 2), arrays)


@pytest.mark.parametrize("more", [{}, {"proximal_mu": 0.1, "weight_decay": 0.01, "epochs": 2}])
def test_a_device_of_the_digits_example_trains_the_bits_of_the_first_release(more: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(3)
    scans, labels = torch.rand(90, 64, generator=generator), torch.randint(0, 10, (90,), generator=generator)
    examples, given = TensorDataset(scans, labels), {**HYPERPARAMETERS, **more}
    made, plain = TorchTrainer(network(5), examples, examples, seed=11), Plain(network(5), examples, seed=11)
    new = old = weights(network(5))
    for _ in range(2):
        new, old = dict(made.train(new, given).weights), plain.train(old, given)
    assert digest(new) == digest(old) != digest(weights(network(5)))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_every_optimizer_and_every_schedule_trains(optimizer: str) -> None:
    base = weights(module())
    for schedule in SCHEDULES:
        made = TorchTrainer(module(), data(), data(1), optimizer=optimizer, schedule=schedule)
        trained = made.train(base, {"epochs": 10, "learning_rate": 0.02, "batch_size": 10, "clip_norm": 1.0})
        assert made.evaluate(trained.weights).metrics["loss"] < made.evaluate(base).metrics["loss"]


def test_schedules_are_these_numbers() -> None:
    factors = {name: [made()(step, 4) for step in range(4)] for name, made in SCHEDULES.items()}
    assert factors["constant"] == [1, 1, 1, 1]
    assert factors["linear"] == [1, 0.75, 0.5, 0.25]
    assert factors["cosine"] == pytest.approx([1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)])
    assert factors["steps"] == pytest.approx([1, 1, 0.1, 0.01])
    assert factors["warmup"] == [1, 1, 1, 1]
    assert [warmup(0.5)(step, 8) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert [warmup(0.5, cosine())(step, 4) for step in range(4)] == pytest.approx([0.5, 1, 1, 0.5])


def test_a_schedule_and_an_optimizer_may_be_functions() -> None:
    seen: list[tuple[int, int]] = []

    def never(step: int, steps: int) -> float:
        seen.append((step, steps))
        return 0.0

    def made(parameters: Any, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.NAdam(parameters, learning_rate)

    base = weights(nn.Linear(4, 2))
    still = TorchTrainer(nn.Linear(4, 2), data(), data(), optimizer=made, schedule=never)
    assert digest(still.train(base, {"epochs": 2, "batch_size": 20, "accumulate": 2}).weights) == digest(base)
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert digest(TorchTrainer(nn.Linear(4, 2), data(), data(), optimizer=made).train(base, {}).weights) != digest(base)


def test_batches_that_are_accumulated_are_one_batch_whatever_their_lengths() -> None:
    base = weights(nn.Linear(4, 2))
    whole, parts = (
        TorchTrainer(nn.Linear(4, 2), data(), data(), seed=3).train(base, {"epochs": 3, "proximal_mu": 0.3, **given}).weights
        for given in ({"batch_size": 60}, {"batch_size": 25, "accumulate": 3})
    )
    for name in base:
        np.testing.assert_allclose(whole[name], parts[name], rtol=0, atol=1e-6)


def test_a_gradient_is_no_longer_than_clip_norm() -> None:
    base = weights(nn.Linear(4, 2))
    given = {"batch_size": 60, "learning_rate": 1.0, "clip_norm": 0.01}
    trained = TorchTrainer(nn.Linear(4, 2), data(), data()).train(base, given).weights
    assert sum(np.square(trained[name] - base[name]).sum() for name in base) ** 0.5 == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_forward_pass_of_less_precision_trains_almost_the_same_parameters(precision: str) -> None:
    base = weights(module())
    full, less = (
        TorchTrainer(module(), data(), data(1), precision=name).train(base, {"epochs": 3, "clip_norm": 5.0}).weights
        for name in (None, precision)
    )
    assert all(array.dtype == base[name].dtype for name, array in less.items())
    assert digest(less) != digest(full)
    assert distance(less, full) < 0.1 * distance(full, base)


def test_a_module_may_take_several_inputs() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(4, 1)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return self.line(left - right)  # type: ignore[no-any-return]

    class Pairs(Dataset[Any]):
        def __init__(self, named: bool) -> None:
            self.named = named

        def __len__(self) -> int:
            return 8

        def __getitem__(self, at: int) -> Any:
            left, right = torch.full((4,), float(at)), torch.ones(4)
            return ({"right": right, "left": left} if self.named else (left, right)), torch.tensor([float(at)])

    base = weights(Both())
    found = [
        TorchTrainer(Both(), Pairs(named), Pairs(named), task=regression()).train(
            base, {"batch_size": 4, "learning_rate": 0.001}
        )
        for named in (False, True)
    ]
    assert digest(found[0].weights) == digest(found[1].weights) != digest(base)


BAD = {
    "an unknown optimizer": (
        {"optimizer": "adamm"},
        ValueError,
        "optimizer: there is none called 'adamm': did you mean 'adam'",
    ),
    "no optimizer": ({"optimizer": 3}, TypeError, "optimizer: expected a name or a function of .*, got int"),
    "an unknown schedule": (
        {"schedule": "cosinus"},
        ValueError,
        "schedule: there is none called 'cosinus': did you mean 'cosine'",
    ),
    "no schedule": ({"schedule": 0.1}, TypeError, "schedule: expected a name or a function of .*, got float"),
    "an unknown precision": ({"precision": "float32"}, ValueError, "precision: there is none called 'float32'"),
    "an unknown device": ({"device": "tpu"}, ValueError, "device: expected auto, cpu.*, got 'tpu'"),
    "a pattern that names nothing": (
        {"personal": ("3.wait",)},
        ValueError,
        "nothing in the module is called '3.wait': .*3.weight",
    ),
    "a pattern that is a text": ({"personal": "3.*"}, TypeError, "personal: expected a sequence of patterns"),
    "nothing to share": ({"personal": ("*",)}, ValueError, "the module shares nothing"),
    "two losses": ({"task": regression(), "loss": nn.functional.nll_loss}, ValueError, "loss: expected none beside a task"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_at_construction(case: str) -> None:
    given, kind, says = BAD[case]
    with pytest.raises(kind, match=says):
        TorchTrainer(module(), data(), data(), **given)  # type: ignore[arg-type]


def test_a_base_that_does_not_fit_is_refused_by_the_first_tensor_that_differs() -> None:
    base = weights(module())
    turned = {**base, "0.weight": base["0.weight"].T}
    wide = {**base, "0.weight": base["0.weight"].astype(np.float64)}
    more = {**base, "4.weight": base["0.weight"]}
    for wrong, says in (
        (turned, r"tensor '0.weight': the module has the shape \(8, 4\), the base \(4, 8\)"),
        (wide, r"tensor '0.weight': the module has the dtype float32 .*, the base float64"),
        (more, r"tensor '4.weight': the base has it, and the module does not"),
    ):
        for use in (lambda wrong=wrong: trainer().train(wrong, {}), lambda wrong=wrong: trainer().evaluate(wrong)):
            with pytest.raises(ValueError, match=says):
                use()


def test_data_that_is_none_or_less_than_a_batch_is_refused_by_its_argument() -> None:
    base = weights(module())
    with pytest.raises(ValueError, match="train: expected at least one example, got an empty dataset"):
        TorchTrainer(module(), data(examples=0), data()).train(base, {})
    with pytest.raises(ValueError, match="test: expected at least one example, got an empty dataset"):
        TorchTrainer(module(), data(), data(examples=0)).evaluate(base)
    with pytest.raises(ValueError, match="'batch_size': expected at most the 60 examples of train, got 64"):
        trainer().train(base, {"batch_size": 64})
    assert TorchTrainer(module(), data(), data(), short_batches=True).train(base, {"batch_size": 64}).examples == 60


def test_a_dataset_or_a_module_of_another_form_is_refused() -> None:
    base, (inputs, labels) = weights(module()), data().tensors
    with pytest.raises(TypeError, match="dataset: expected pairs of inputs and labels, got 3 values"):
        TorchTrainer(module(), TensorDataset(inputs, labels, labels), data()).train(base, {})
    gru = nn.GRU(4, 2, batch_first=True)
    with pytest.raises(TypeError, match="module: expected it to return a tensor of outputs, got tuple"):
        TorchTrainer(gru, data(), data()).train(weights(gru), {})
    loss = nn.CrossEntropyLoss(reduction="none")
    with pytest.raises(TypeError, match=r"loss: expected a tensor with one number.*, got a tensor of shape \(32,\)"):
        TorchTrainer(module(), data(), data(), loss=loss).train(base, {})
