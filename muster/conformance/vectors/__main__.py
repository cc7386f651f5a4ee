"""`python -m muster.conformance.vectors`."""

import sys

from muster.conformance.vectors import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
