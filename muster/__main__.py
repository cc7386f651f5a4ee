"""The entry point of the `muster` command, which says what to install where the extra is missing."""

from __future__ import annotations

import sys

OF_THE_EXTRA = frozenset({"typer", "rich", "botocore"})


def main() -> None:
    """Run the command line."""
    try:
        from muster.cli import main as run
    except ModuleNotFoundError as missing:
        if missing.name not in OF_THE_EXTRA:
            raise
        sys.exit(f"error {missing.name} is not installed\nnext  pip install 'muster-fl[operator]'")
    run()


if __name__ == "__main__":
    main()
