"""A GRU that reads a play, character by character. `muster simulate examples/characters/federated.py --data key`"""

from __future__ import annotations

from examples.characters.network import PlayReader
from examples.characters.plays import plays
from muster import App, LocalData, TorchTrainer
from muster.training.tasks import sequences


def trainer(own: LocalData) -> TorchTrainer:
    """A device's trainer."""
    return TorchTrainer(PlayReader(), own.train, own.test, task=sequences(), optimizer="adam", seed=own.seed)


app = App(
    name="characters",
    data=plays,
    trainer=trainer,
    config={
        "hyperparameters": {"epochs": 2, "batch_size": 16, "learning_rate": 0.003, "clip_norm": 1.0},
        "evaluators": 20,
        "evaluation_level": 0.5,
        "evaluation_liars": 0,
        "min_gain": 0.002,
    },
)
