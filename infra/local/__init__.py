"""The whole cloud on one machine, behind loopback addresses; `python -m infra.local` runs it until Ctrl-C.

    devices, operators ──HTTP──▶ API processes (gunicorn ▸ gateway ▸ app.py) ──┐
           │                                                                  ├──▶ moto (server mode): DynamoDB; S3 and SQS
           └──────────────── presigned PUT and GET ─────────────────────────▶ │
                                  worker process (queue pumps, ticks ▸ app.py)┘

* `cloud`      starts, watches and stops the processes
* `resources`  makes the tables, the bucket and the queues of `infra/resources.yaml`
* `gateway`    what API Gateway does: HTTP to the app's events and back (a WSGI application)
* `aws`        moto's server as a WSGI application; `quick` makes its slowest lines quick, `adding` and
               `signing` let it add and sign as AWS does
* `workers`    what SQS event sources and EventBridge do: pump the queues, fire the ticks
"""

from infra.local.cloud import LocalCloud

__all__ = ["LocalCloud"]
