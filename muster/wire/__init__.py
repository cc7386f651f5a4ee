"""What both sides of the wire agree on; the only package that the server and the devices share.

* `messages`  every HTTP body, as pydantic models with bounds;
* `explaining`  what is wrong with a message, in the words of JSON;
* `problems`  the name, status and title of every refusal (RFC 9457);
* `tensors`   the header of a tensor file (safetensors), read strictly, without numpy;
* `arrays`    tensor files as numpy arrays; imported only where tensors are touched;
* `gate`      what a tensor file must be to be accepted: finite, within its bounds, and exactly of the model's schema;
* `spread`, `magnitudes`  how fine and how large its numbers are, measured by the gate, and packed.
"""
