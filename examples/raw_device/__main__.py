"""`python -m examples.raw_device URL TOKEN CLIENT_ID MODEL FOLDER`: take part until the key is no longer good.

A sixth argument is the shortest wait after trouble, in seconds (5): a test has no time.
"""

import sys
from pathlib import Path

from examples.raw_device.device import Device
from examples.raw_device.web import Refused

if __name__ == "__main__":
    if len(sys.argv) not in (6, 7):
        sys.exit(__doc__)
    url, token, client_id, model, folder, *seconds = sys.argv[1:]
    try:
        Device(
            url=url,
            token=token,
            client_id=client_id,
            model=model,
            folder=Path(folder),
            trouble_seconds=float(seconds[0]) if seconds else 5.0,
        ).run()
    except Refused as refused:
        sys.exit(str(refused))
    except KeyboardInterrupt:
        pass
