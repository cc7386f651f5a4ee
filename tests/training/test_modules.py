"""What of a module travels: tied, frozen, personal and buffered tensors, and those that numpy does not have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from muster import TorchTrainer
from muster.device.update import delta
from muster.training.modules import checkpoint, load, weights
from muster.wire.arrays import decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES, parse_header
from tests.training.making import Tied, data, digest, module


class Counting(nn.Module):
    """A module with a buffer that is not persistent, and one that it replaces by another in each pass."""

    mask: torch.Tensor
    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 2)
        self.register_buffer("mask", torch.ones(4), persistent=False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen = self.seen + 1
        return self.line(inputs * self.mask)  # type: ignore[no-any-return]


def test_of_tied_weights_one_travels_and_both_are_loaded() -> None:
    made = Tied()
    assert weights(made).keys() == {"embedding.weight"}
    words = TensorDataset(torch.arange(6), torch.arange(6))
    trainer = TorchTrainer(made, words, words)
    result = trainer.train(weights(made), {"epochs": 50, "batch_size": 3, "learning_rate": 0.5})
    assert trainer.evaluate(result.weights).metrics["accuracy"] > 0.8
    assert decode(delta(weights(Tied()), result), HEADER_LIMIT_BYTES).keys() == {"embedding.weight"}
    fresh = Tied()
    load(fresh, result.weights)
    assert fresh.decoder.weight is fresh.embedding.weight
    assert (fresh.decoder.weight.detach().numpy() == result.weights["embedding.weight"]).all()
    with pytest.raises(ValueError, match=r"'decoder.weight': .* in the module it is tied to 'embedding.weight'"):
        load(made, {**result.weights, "decoder.weight": result.weights["embedding.weight"]})


def test_what_is_frozen_stays_at_home_and_as_it_is() -> None:
    made = module()
    frozen = made.get_submodule("0").requires_grad_(requires_grad=False)
    weight = frozen.get_parameter("weight")
    before = weight.detach().clone()
    trainer = TorchTrainer(made, data(), data(1))
    base = decode(trainer.checkpoint(), HEADER_LIMIT_BYTES)
    assert not {"0.weight", "0.bias"} & base.keys()
    result = trainer.train(base, {"epochs": 2, "weight_decay": 0.5})
    assert result.weights.keys() == base.keys()
    assert torch.equal(weight, before)
    assert weights(made, frozen=True).keys() == made.state_dict().keys()
    asked = TorchTrainer(made, data(), data(1), frozen=True)
    assert (asked.train(weights(made, frozen=True), {}).weights["0.weight"] == before.numpy()).all()


def test_a_buffer_that_is_not_persistent_never_travels_and_one_that_is_replaced_does() -> None:
    made = Counting()
    file = checkpoint(made)
    specs = parse_header(file, HEADER_LIMIT_BYTES).specs
    assert {spec.name: spec.is_buffer for spec in specs} == {"line.weight": False, "line.bias": False, "seen": True}
    trainer = TorchTrainer(made, data(), data())
    result = trainer.train(decode(file, HEADER_LIMIT_BYTES), {"batch_size": 20, "epochs": 2})
    assert result.weights["seen"] == 6
    assert trainer.train(result.weights, {"batch_size": 20}).weights["seen"] == 9


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parameters_of_two_bytes_come_back_as_they_were(dtype: torch.dtype) -> None:
    made, other = module().to(dtype), module(7).to(dtype)
    load(other, decode(checkpoint(made), HEADER_LIMIT_BYTES))
    for name, tensor in made.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    wanted = np.float32 if dtype == torch.bfloat16 else np.float16
    assert {array.dtype for array in weights(made).values()} == {np.dtype(wanted), np.dtype(np.int64)}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_parameters_of_two_bytes_train_and_their_update_is_one_that_the_server_takes(
    dtype: torch.dtype, optimizer: str
) -> None:
    inputs, labels = data().tensors
    examples = TensorDataset(inputs.to(dtype), labels)
    trainer = TorchTrainer(module().to(dtype), examples, examples, optimizer=optimizer)
    base = decode(trainer.checkpoint(), HEADER_LIMIT_BYTES)
    given = {"epochs": 10, "batch_size": 10, "learning_rate": 0.05 if optimizer == "sgd" else 0.01}
    result = trainer.train(base, given)
    assert {name: array.dtype for name, array in result.weights.items()} == {name: array.dtype for name, array in base.items()}
    assert delta(base, result)
    assert trainer.evaluate(result.weights).metrics["loss"] < trainer.evaluate(base).metrics["loss"]


def test_what_bfloat16_does_not_hold_of_the_base_is_no_change() -> None:
    inputs, labels = data().tensors
    examples = TensorDataset(inputs.bfloat16(), labels)
    trainer = TorchTrainer(nn.Linear(4, 2).bfloat16(), examples, examples)
    base = {"weight": np.full((2, 4), 1.001, np.float32), "bias": np.full(2, -0.3333333, np.float32)}
    still = trainer.train(base, {"learning_rate": 0.0})
    assert digest(still.weights) == digest(base)
    assert not any(array.any() for array in decode(delta(base, still), HEADER_LIMIT_BYTES).values())


def test_a_dtype_that_cannot_travel_is_refused_by_its_tensor() -> None:
    made = nn.Module()
    made.register_parameter("phase", nn.Parameter(torch.zeros(2, dtype=torch.complex64)))
    with pytest.raises(TypeError, match=r"tensor 'phase': expected a dtype that can travel, got torch.complex64"):
        weights(made)


def test_extra_state_that_is_no_tensor_is_refused() -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 1}

    with pytest.raises(TypeError, match="'_extra_state': expected a tensor, got dict"):
        weights(Extra(2, 2))


def test_weights_are_copies() -> None:
    made = nn.Linear(2, 2)
    found = weights(made)
    file = encode(found)
    with torch.no_grad():
        made.weight.add_(1.0)
    assert encode(found) == file != encode(weights(made))
