"""A ClientApp of two functions; it counts its trainings in its context."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from votes.task import load, measured, trained

app = ClientApp()


@app.train()
def train(msg: Message, context: Context) -> Message:
    data = load(int(context.node_config["partition-id"]))
    before = int(context.state["count"]["trainings"]) if "count" in context.state else 0
    context.state["count"] = MetricRecord({"trainings": before + 1})
    rate = float(msg.content["config"]["lr"]) / (1 + before)
    arrays = trained(msg.content["arrays"].to_numpy_ndarrays(), data, rate)
    metrics = MetricRecord({"num-examples": len(data[1]), "trainings": before + 1})
    return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    data = load(int(context.node_config["partition-id"]))
    found = measured(msg.content["arrays"].to_numpy_ndarrays(), data)
    return Message(RecordDict({"metrics": MetricRecord({"num-examples": len(data[1]), **found})}), reply_to=msg)
