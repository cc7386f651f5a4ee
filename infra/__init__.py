"""What Muster runs on.

* `resources.yaml`  tables, bucket, queues: merged into the template that AWS gets, and read by the local cloud;
* `local`           the whole cloud on one machine.
"""
