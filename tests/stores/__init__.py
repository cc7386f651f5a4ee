"""A store for tests: DynamoDB, S3, SQS, SNS and CloudWatch in this process, as far as Muster calls them.

    clients        how calls get in: real botocore clients, answered here
    service        what all services share: a call's method, its known parameters, its refusal
    dynamo         tables, reads and writes
      tables       one table: rows in order, keys, pages
      attributes   values: checked, measured, compared; numbers are in `numbers`
      expressions  words, paths and placeholders; reserved words are in `reserved`
      conditions   conditions, read and held against items
      keyed        where a Query looks
      changes      update expressions
      writes       one write of one row
      transactions all or none
      capacity     what a call costs
    objects        S3: objects and lists
      buckets      one bucket: versions, uploads, the order of keys
      multipart    uploads in parts
      presigned    what a URL that was signed is answered with
      refusals     how S3 refuses
    queues         SQS
    topics         SNS
    metrics        CloudWatch
    local          DynamoDB Local: fetched and run
    contract       the laws that hold here, on moto and on DynamoDB Local alike

`python -m tests.stores` runs the contract against every store that is there, and prints what holds where.

What is not here (IAM, throttling, lateness, lifecycles, indexes, streams) is an error, not a gap: a call or a parameter that no
store knows raises NotImplementedError.
"""
