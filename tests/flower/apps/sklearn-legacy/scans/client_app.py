"""A NumPyClient around an estimator, with a context that it remembers something in."""

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import ConfigRecord, Context
from sklearn.metrics import log_loss

from scans.task import load, model


class ScansClient(NumPyClient):
    def __init__(self, context: Context) -> None:
        config = context.node_config
        self.train, self.test = load(int(config["partition-id"]), int(config["num-partitions"]))
        self.model = model(str(context.run_config["penalty"]))
        self.epochs = int(context.run_config["local-epochs"])
        self.state = context.state

    def fit(self, parameters, config):
        self.model.coef_, self.model.intercept_ = (np.array(array) for array in parameters)
        seen = int(self.state["seen"]["rounds"]) if "seen" in self.state else 0
        self.state["seen"] = ConfigRecord({"rounds": seen + 1})
        for _ in range(self.epochs):
            order = np.random.permutation(len(self.train[1]))  # drawn from nobody's seed
            self.model.partial_fit(self.train[0][order], self.train[1][order])
        return [self.model.coef_, self.model.intercept_], len(order), {"rounds_seen": seen + 1}

    def evaluate(self, parameters, config):
        self.model.coef_, self.model.intercept_ = parameters
        likely = self.model.predict_proba(self.test[0])
        loss = float(log_loss(self.test[1], likely, labels=np.arange(10)))
        return loss, len(likely), {"accuracy": float(self.model.score(*self.test))}


def client_fn(context: Context):
    return ScansClient(context).to_client()


app = ClientApp(client_fn)
