"""The whole cloud in this process: the server's own functions, on services that keep everything in memory.

    devices, operators ──HTTP──▶ gateway ▸ app.py ──boto3──▶ DynamoDB, S3, SQS, SNS, KMS, CloudWatch
           └──────────── presigned PUT and GET ─────────────▶

* `cloud`       the cloud: its clock, its schedules, its queues, its HTTP, all moved by who holds it
* `place`       the same as a place for simulations: time passes as fast as there is nothing left to do
* `calls`       every call to AWS on its way: counted, observed, or kept from happening
* `stores`      how calls get in: real botocore clients, answered here
* `parameters`  what botocore would not send, quick
* `session`     clients, each made once
* `service`     what all services share: a call's method, its known parameters, its refusal
* `dynamodb`    rows, conditions, queries, transactions
* `s3`          objects, versions, uploads in parts, presigned URLs
* `sqs`, `sns`, `kms`, `cloudwatch`

What is not here (permissions, throttling, lateness, lifecycles, indexes, streams) is an error, not a gap: a call or a parameter
that no service knows raises NotImplementedError. `make stores` holds all of it against moto and DynamoDB Local.
"""

from infra.memory.cloud import MemoryCloud

__all__ = ["MemoryCloud"]
