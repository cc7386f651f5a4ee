"""Answers a question, trains, evaluates."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def data(context: Context) -> np.ndarray:
    partition = int(context.node_config["partition-id"])
    return np.random.default_rng(partition).normal(partition, 1.0, (30, 2)).astype(np.float32)


@app.query()
def query(msg: Message, context: Context) -> Message:
    mean = data(context).mean(axis=0)
    return Message(RecordDict({"mean": MetricRecord({"mean": [float(value) for value in mean]})}), reply_to=msg)


@app.train()
def train(msg: Message, context: Context) -> Message:
    [center] = msg.content["arrays"].to_numpy_ndarrays()
    points = data(context)
    moved = center + np.float32(0.5) * (points.mean(axis=0) - center) + np.random.normal(0, 0.01, 2).astype(np.float32)
    metrics = MetricRecord({"num-examples": len(points)})
    return Message(RecordDict({"arrays": ArrayRecord([moved]), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    [center] = msg.content["arrays"].to_numpy_ndarrays()
    far = float(np.linalg.norm(data(context) - center, axis=1).mean())
    return Message(RecordDict({"metrics": MetricRecord({"num-examples": 30, "distance": far})}), reply_to=msg)
