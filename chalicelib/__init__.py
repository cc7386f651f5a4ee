"""The server: nouns as folders. `app.py` is the table of contents; `wiring.py` says how the pieces meet.

Read `rounds/round.py` first (what a round is and how it may move), then `rounds/coordinator.py` (what is due, and when).
In each folder: the rules, which take values and return values; the use cases; and the store, where every write states its
one condition. Only `storage/` knows DynamoDB, S3 and SQS.
"""
