"""What both sides of the wire agree on; the only package that the server and the devices share.

Messages:

* `messages`    every HTTP body of devices, as pydantic models with bounds; `admin` those of operators
* `deciding`    the metric by which a model's versions are judged, and what a difference in it means
* `hyperparameters`  what trainers understand, and what does not fit it; `scheduling`: those that change from round to round
* `explaining`  what is wrong with a message, in the words of JSON; `spelling`: which name was meant
* `problems`    the name, status and title of every refusal (RFC 9457)
* `reasons`     why an update does not count, a word each
* `failures`    why a device gives up the work of its place, a word each
* `statements`  what is signed of a deployment: the versions that clients may be given
* `refs`        what names some bytes: checkpoints, optimizers' states, digests

Files:

* `tensors`     the header of a tensor file (safetensors), read strictly, without numpy
* `tracing`     which trace a request belongs to
* `arrays`      tensor files as numpy arrays; imported only where tensors are touched
* `encodings`   how an update may be written in fewer bytes; `values` writes and reads it
* `deltas`      a checkpoint in fewer bytes, for who has another one
* `adapters`    which tensors are the two halves of a low-rank adapter
* `gate`        what a tensor file must be to be accepted: finite, within its bounds, and exactly of the model's schema
* `spread`, `magnitudes`  how fine and how large its numbers are, measured by the gate, and packed
"""
