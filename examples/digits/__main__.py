"""`python -m examples.digits`: run the demo; the exit status says whether it met every expectation."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

from examples.digits.data import TooManyDevices
from examples.digits.plot import draw
from examples.digits.report import Screen
from examples.digits.run import ModelExists, run
from muster.http.errors import MusterError
from muster.operator.client import NoAddress
from muster.operator.signing import NotSigned


def main() -> int:
    """Run the demo, write its figures, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.digits", description="Thirty devices learn handwritten digits together."
    )
    parser.add_argument("--rounds", type=int, default=12, help="rounds to complete (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=30, help="honest devices (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of data, weights and drop-outs (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("build"), help="folder for demo.json and demo.png (default: %(default)s)"
    )
    parser.add_argument("--url", help="a deployed API (default: a local cloud, for as long as the demo runs)")
    parser.add_argument("--model", default="digits", help="its name there, a new one (default: %(default)s)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = Screen()
    try:
        with screen:
            outcome = run(options.rounds, options.devices, options.seed, screen, options.model, options.url)
    except (TooManyDevices, ModelExists, NoAddress, NotSigned) as error:
        parser.error(str(error))
    except MusterError as error:
        again = f"; the model {options.model} stays there, so the next run needs another one (--model)" if options.url else ""
        parser.exit(3, f"the cloud did not do its part: {error}{again}\n")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    options.out.mkdir(parents=True, exist_ok=True)
    figures, picture = options.out / "demo.json", options.out / "demo.png"
    figures.write_text(json.dumps(outcome.as_json(), indent=2) + "\n")
    draw(outcome, picture)
    screen.lineage(outcome)
    screen.tour(outcome)
    screen.summary(outcome, [str(figures), str(picture)])
    return 1 if outcome.unmet() else 0


if __name__ == "__main__":
    sys.exit(main())
