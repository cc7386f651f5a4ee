"""Two clouds of points, and a logistic regression."""

import numpy as np


def load(partition: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(100 + partition)
    labels = rng.integers(0, 2, 60 + 5 * partition)
    inputs = rng.normal(size=(len(labels), 4)) + labels[:, None] * np.array([1.0, -1.0, 0.5, 0.0])
    return inputs.astype(np.float32), labels.astype(np.float32)


def predicted(arrays: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    weights, bias = arrays
    return 1 / (1 + np.exp(-(inputs @ weights + bias)))


def trained(arrays: list[np.ndarray], data: tuple[np.ndarray, np.ndarray], rate: float) -> list[np.ndarray]:
    weights, bias = (np.array(array) for array in arrays)
    for _ in range(3):
        wrong = predicted([weights, bias], data[0]) - data[1]
        weights -= np.float32(rate) * (data[0].T @ wrong / len(wrong)).astype(np.float32)
        bias -= np.float32(rate * wrong.mean())
    return [weights, bias]


def measured(arrays: list[np.ndarray], data: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    likely = np.clip(predicted(arrays, data[0]), 1e-6, 1 - 1e-6)
    loss = -(data[1] * np.log(likely) + (1 - data[1]) * np.log(1 - likely)).mean()
    return {"eval_loss": float(loss), "accuracy": float(((likely > 0.5) == data[1]).mean())}
