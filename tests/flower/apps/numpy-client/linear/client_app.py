"""The client: three methods over lists of arrays."""

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context

from linear.task import load, step


class LinearClient(NumPyClient):
    """Fits a line to a client's points."""

    def __init__(self, data, rate: float) -> None:
        self.data = data
        self.rate = rate

    def get_parameters(self, config):
        return [np.zeros(3, np.float32), np.zeros(1, np.float32)]

    def fit(self, parameters, config):
        weights, bias = (np.array(array) for array in parameters)
        for _ in range(int(config["local_epochs"])):
            step(weights, bias, self.data, self.rate)
        return [weights, bias], len(self.data[1]), {"epochs": int(config["local_epochs"])}

    def evaluate(self, parameters, config):
        weights, bias = parameters
        wrong = self.data[0] @ weights + bias - self.data[1]
        return float((wrong**2).mean()), len(wrong), {"mae": float(np.abs(wrong).mean())}


def client_fn(context: Context):
    partition = int(context.node_config["partition-id"])
    data = load(partition, int(context.run_config["data.examples"]))
    return LinearClient(data, float(context.run_config["learning-rate"])).to_client()


app = ClientApp(client_fn=client_fn)
