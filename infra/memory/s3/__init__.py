"""S3, as far as Muster calls it.

* `api`        objects and lists
* `buckets`    one bucket: versions, uploads, the order of keys
* `multipart`  uploads in parts
* `presigned`  what a URL that was signed is answered with
* `refusals`   how S3 refuses
"""

from infra.memory.s3.api import S3

__all__ = ["S3"]
