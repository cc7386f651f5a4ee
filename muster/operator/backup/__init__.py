"""A copy of everything that a stack stores, and an empty stack filled from it. It needs AWS credentials, and no API.

* `kinds`      every kind of row and object, and what a backup does with it; pure
* `cut`        of each model one instant; what is newer is left out
* `cloud`      DynamoDB and S3, as far as they are needed here
* `folder`     the copy on the disk: its manifest, rows, objects
* `check`      whether a copy is what it was, and whether it holds together
* `making`, `restoring`   the two directions
* `errors`     what can be wrong

docs/adr/0013-a-cut-by-model.md says why it is done so.
"""
