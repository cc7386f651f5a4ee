"""The contract of the stores: each call, condition, limit and error that Muster builds on, one test each.

places             the stores that are held to it
lacks              what moto and DynamoDB Local are known to do otherwise than AWS
test_rows          DynamoDB: reads and writes of single rows
test_expressions   DynamoDB: conditions, and how they are refused
test_changes       DynamoDB: update expressions
test_queries       DynamoDB: queries, scans and pages
test_limits        DynamoDB: sizes, numbers, keys
test_transactions  DynamoDB: all or none
test_threads       DynamoDB: many calls at once
test_objects       S3: objects and lists
test_uploads       S3: multipart uploads and presigned URLs
test_queues        SQS
test_keys          KMS
test_others        SNS, CloudWatch, and the clients themselves
test_same_answers  random calls, answered alike
"""
