"""Asks all clients for their means first, then runs a subclass of FedAvg that adds noise to what it aggregates."""

import time

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class NoisyFedAvg(FedAvg):
    """Adds a little noise, from numpy's own generator."""

    def aggregate_train(self, server_round, replies):
        arrays, metrics = super().aggregate_train(server_round, replies)
        noisy = [array + np.random.normal(0, 0.001, array.shape).astype(array.dtype) for array in arrays.to_numpy_ndarrays()]
        return ArrayRecord(noisy), metrics


@app.main()
def main(grid: Grid, context: Context) -> None:
    asked = [Message(RecordDict(), node, MessageType.QUERY) for node in grid.get_node_ids()]
    waiting, replies = set(grid.push_messages(asked)), []
    while waiting:
        found = list(grid.pull_messages(sorted(waiting)))
        replies += found
        waiting -= {reply.metadata.reply_to_message_id for reply in found}
        if waiting:
            time.sleep(0.1)
    means = np.array([reply.content["mean"]["mean"] for reply in replies], np.float32)
    strategy = NoisyFedAvg(fraction_train=float(context.run_config["fraction-train"]), fraction_evaluate=0.5)
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([means.mean(axis=0)]),
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
