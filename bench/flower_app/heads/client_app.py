"""A client with a head of its own, which lies in its context's state from round to round; the body alone travels."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from task import HEAD, dataset, measure, network, train
from torch import nn

from bench.flower_app.given import arrays

app = ClientApp()


def loaded(msg: Message, context: Context) -> nn.Module:
    """The body that came, and the client's own head: at first the one that it was given."""
    if "head" not in context.state:
        given = arrays(str(context.run_config["data"]), f"own-{context.node_config['partition-id']}")
        context.state["head"] = ArrayRecord({name: torch.from_numpy(array) for name, array in given.items()})
    module = network()
    body, head = msg.content["arrays"].to_torch_state_dict(), context.state["head"].to_torch_state_dict()
    module.load_state_dict({**body, **head})
    return module


@app.train()
def fit(msg: Message, context: Context) -> Message:
    """Train, in another order each round; keep the head, and send the body back."""
    module, number = loaded(msg, context), int(context.node_config["partition-id"])
    data = dataset(str(context.run_config["data"]), f"train-{number}")
    train(module, data, seed=1000 * int(msg.content["config"]["server-round"]) + number)
    weights = module.state_dict()
    context.state["head"] = ArrayRecord({name: tensor for name, tensor in weights.items() if name.startswith(HEAD)})
    body = ArrayRecord({name: tensor for name, tensor in weights.items() if not name.startswith(HEAD)})
    return Message(RecordDict({"arrays": body, "metrics": MetricRecord({"num-examples": len(data)})}), reply_to=msg)


@app.evaluate()
def judge(msg: Message, context: Context) -> Message:
    """Measure the new body with the head that this round's training has left here, as Muster does after its last round."""
    data = dataset(str(context.run_config["data"]), f"test-{context.node_config['partition-id']}")
    metrics = {**measure(loaded(msg, context), data), "num-examples": len(data)}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
