"""`python -m examples.digits`: run the demo; the exit status says whether it met every expectation."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

from examples.digits import console
from examples.digits.data import TooManyDevices
from examples.digits.outcome import DemoOutcome
from examples.digits.place import place
from examples.digits.plot import draw
from examples.digits.report import Screen
from examples.digits.run import ModelExists, run
from muster.cli.console import NoConsole
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
    parser.add_argument(
        "--console", action="store_true", help="open the console beside it; after the summary both stay until Ctrl-C"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = Screen()
    try:
        if options.console:
            console.check_installed()
        with place(options.url) as cloud, console.beside(cloud, screen.said) if options.console else nullcontext() as page:
            with screen:
                outcome = run(
                    cloud, screen, model=options.model, rounds=options.rounds, devices=options.devices, seed=options.seed
                )
            _tell(outcome, screen, options.out)
            if page is not None:
                page.stay(screen.staying)
    except (TooManyDevices, ModelExists, NoAddress, NoConsole, NotSigned) as error:
        parser.error(str(error))
    except MusterError as error:
        again = f"; the model {options.model} stays there, so the next run needs another one (--model)" if options.url else ""
        parser.exit(3, f"the cloud did not do its part: {error}{again}\n")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 1 if outcome.unmet() else 0


def _tell(outcome: DemoOutcome, screen: Screen, folder: Path) -> None:
    """Write the figures, and print what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    figures, picture = folder / "demo.json", folder / "demo.png"
    figures.write_text(json.dumps(outcome.as_json(), indent=2) + "\n")
    draw(outcome, picture)
    screen.lineage(outcome)
    screen.tour(outcome)
    screen.summary(outcome, [str(figures), str(picture)])


if __name__ == "__main__":
    sys.exit(main())
