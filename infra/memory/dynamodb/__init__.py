"""DynamoDB, as far as Muster calls it.

* `api`          tables, reads and writes
* `tables`       one table: rows in order, keys, pages
* `attributes`   values: checked, measured, compared; numbers are in `numbers`
* `expressions`  words, paths and placeholders; reserved words are in `reserved`
* `conditions`   conditions, read and held against items
* `keyed`        where a Query looks
* `changes`      update expressions
* `writes`       one write of one row
* `transactions`  all or none
* `capacity`     what a call costs
"""

from infra.memory.dynamodb.api import DynamoDB

__all__ = ["DynamoDB"]
