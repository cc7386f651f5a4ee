"""`python -m infra.local`: the local cloud, until Ctrl-C."""

import argparse
import signal
import threading

from infra.local.cloud import LocalCloud


def main() -> None:
    """Run the cloud and say how to use it."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="Run Muster's whole cloud on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="port of the API on 127.0.0.1 (default: %(default)s; 0 for any)")
    parser.add_argument("--api-processes", type=int, default=2, help="API processes side by side (default: %(default)s)")
    parser.add_argument("--tick-seconds", type=float, default=1.0, help="interval of the schedule (default: %(default)s)")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with LocalCloud(api_processes=options.api_processes, tick_seconds=options.tick_seconds, port=options.port) as cloud:
        endpoints = "".join(f"{name}={value}\n" for name, value in cloud.environment.items() if "ENDPOINT" in name)
        print(f"API  {cloud.url}\n{endpoints}Ctrl-C stops it and leaves nothing behind.", flush=True)
        while not stop.wait(1.0):
            cloud.check()
    print("stopped")


if __name__ == "__main__":
    main()
