"""moto's S3, in a process of its own: `<port> <objects> <parameters>`. It holds the same objects as `loopback`."""

from __future__ import annotations

import logging
import sys
import threading

from moto.server import ThreadedMotoServer

from bench.aggregation import data
from bench.aggregation.store import client
from muster.wire.arrays import encode


def main() -> None:
    """Serve until the end."""
    port, objects, parameters = (int(argument) for argument in sys.argv[1:])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    s3 = client(port)
    s3.create_bucket(Bucket="bucket")
    for number in range(objects):
        s3.put_object(Bucket="bucket", Key=f"update-{number}", Body=encode(data.update(number, parameters)))
    s3.put_object(Bucket="bucket", Key="base", Body=encode(data.update(objects, parameters)))
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
