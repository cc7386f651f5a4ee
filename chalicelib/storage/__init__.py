"""The only place that knows DynamoDB, S3, SQS, SNS, KMS and CloudWatch.

* `keys`      every key of every row and object; `docs/data-model.md` is generated from it
* `rows`      frozen dataclasses to items and back
* `answers`   what every answer must have before it is believed
* `dynamo`    tables whose every write states one condition, and knows its own repeats
* `blobs`     objects, read within bounds and written once; `spool` writes one whose name is known at its end
* `presign`   the two URLs that a device ever gets
* `queues`    messages to the workers, `topics` to people
* `signing`   the key that signs deployments
* `metrics`   numbers over time, `alarms` those that ring
"""
