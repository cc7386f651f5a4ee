"""A client that trains and measures, as Flower's Message API has it."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from task import PlayReader, dataset, measure, train

app = ClientApp()


def loaded(msg: Message) -> PlayReader:
    """The network with the weights that came."""
    network = PlayReader()
    network.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    return network


@app.train()
def fit(msg: Message, context: Context) -> Message:
    """Train, in another order each round, and send all weights back."""
    network, number = loaded(msg), int(context.node_config["partition-id"])
    data = dataset(str(context.run_config["data"]), f"train-{number}")
    train(network, data, seed=1000 * int(msg.content["config"]["server-round"]) + number)
    content = {"arrays": ArrayRecord(network.state_dict()), "metrics": MetricRecord({"num-examples": len(data)})}
    return Message(RecordDict(content), reply_to=msg)


@app.evaluate()
def judge(msg: Message, context: Context) -> Message:
    """Measure the weights that came."""
    data = dataset(str(context.run_config["data"]), f"test-{context.node_config['partition-id']}")
    metrics = {**measure(loaded(msg), data), "num-examples": len(data)}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
