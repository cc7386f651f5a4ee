"""moto's S3, in a process of its own: `<port> <objects> <parameters>`. It holds the same objects as `loopback`."""

from __future__ import annotations

import logging
import sys
import threading

import boto3
from moto.server import ThreadedMotoServer

from bench.aggregation import data
from muster.wire.arrays import encode


def main() -> None:
    """Serve until the end."""
    port, objects, parameters = (int(argument) for argument in sys.argv[1:])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 (of a store in memory)
    )
    client.create_bucket(Bucket="bucket")
    for number in range(objects):
        client.put_object(Bucket="bucket", Key=f"update-{number}", Body=encode(data.update(number, parameters)))
    client.put_object(Bucket="bucket", Key="base", Body=encode(data.update(objects, parameters)))
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
