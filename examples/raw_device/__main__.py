"""`python -m examples.raw_device URL TOKEN CLIENT_ID MODEL FOLDER`: take part until the key is no longer good."""

import sys
from pathlib import Path

from examples.raw_device.device import Device
from examples.raw_device.web import Refused

if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    url, token, client_id, model, folder = sys.argv[1:]
    try:
        Device(url, token, client_id, model, Path(folder)).run()
    except Refused as refused:
        sys.exit(str(refused))
    except KeyboardInterrupt:
        pass
