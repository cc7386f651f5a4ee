"""State dicts in, state dicts out."""

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from moons.task import load, measured, network, trained

torch.set_num_threads(1)
app = ClientApp()


def loaded(msg: Message, context: Context):
    net = network(int(context.run_config["hidden"]))
    net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    return net, load(int(context.node_config["partition-id"]))


@app.train()
def train(msg: Message, context: Context) -> Message:
    net, data = loaded(msg, context)
    loss = trained(net, data, float(msg.content["config"]["lr"]))
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(data[1])})
    return Message(RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    net, data = loaded(msg, context)
    loss, accuracy = measured(net, data)
    metrics = MetricRecord({"eval_loss": loss, "accuracy": accuracy, "num-examples": len(data[1])})
    return Message(RecordDict({"metrics": metrics}), reply_to=msg)
