"""The strict cloud: MiniStack, an emulator of AWS that runs the packaged template, each function a process with its own role.
`python -m infra.strict`, which is what `make strict` runs, keeps one until Ctrl-C.

It speaks TLS with a certificate of its own, which is all that its clients trust. With `AUTH=true` it enforces IAM policies,
bucket policies and presigned URLs. What it does not enforce is in docs/deploy.md.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.errors import told
from infra.interpreter import environment
from infra.package import ROOT
from infra.steps import step

START_SECONDS, STOP_SECONDS = 60.0, 10.0
REGION = "us-east-1"
ROOT_KEY, ROOT_SECRET = "root", "root"


class StrictCloud:
    """The emulator, from `__enter__` to `__exit__`; it leaves neither processes nor files behind."""

    def __init__(self) -> None:
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        """What an AWS SDK needs to act in it as the account's owner."""

    def __enter__(self) -> Self:
        python = environment(ROOT / "build" / "strict" / "venv", ROOT / "infra" / "strict-requirements.txt")
        self._folder = Path(tempfile.mkdtemp(prefix="muster-strict-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        keys = {"AWS_ACCESS_KEY_ID": ROOT_KEY, "AWS_SECRET_ACCESS_KEY": ROOT_SECRET}
        base = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MUSTER_"))}
        settings = {
            "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "AUTH": "true", "MINISTACK_REGION": REGION,
            "STATE_DIR": str(self._folder / "state"), "S3_DATA_DIR": str(self._folder / "s3"), "TMPDIR": str(self._folder),
            "USE_SSL": "1", "IOT_MTLS_ENABLED": "0", "LAMBDA_EXECUTOR": "local",
        }  # fmt: skip
        env, command = {**base, **keys, **settings}, [str(python.with_name("ministack"))]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        url, certificate = f"https://127.0.0.1:{port}", self._folder / "ministack-tls" / "server.crt"
        self.environment = {**keys, "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": url}
        self.environment |= dict.fromkeys(("AWS_CA_BUNDLE", "SSL_CERT_FILE"), str(certificate))
        try:
            with step("starting the emulator"):
                self._await(port)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def log(self) -> str:
        """What it has said so far."""
        return (self._folder / "log").read_text(errors="replace")

    def check(self) -> None:
        """See that it still runs.

        Raises:
            RuntimeError: it has ended; the message is the end of its log.
        """
        if self._process and self._process.poll() is not None:
            raise RuntimeError(f"the strict cloud ended with status {self._process.returncode}:\n{self.log()[-4000:]}")

    def close(self) -> None:
        """Stop it, and remove what it wrote."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _await(self, port: int) -> None:
        patience = stop_after_delay(START_SECONDS)

        @retry(retry=retry_if_exception_type(OSError), stop=patience, wait=wait_fixed(0.1), reraise=True)
        def answers() -> None:
            self.check()
            socket.create_connection(("127.0.0.1", port), timeout=5.0).close()

        answers()


def main() -> None:
    """Run a strict cloud, and say how to use it."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with StrictCloud() as cloud:
        for name, value in cloud.environment.items():
            print(f"export {name}={value}")
        print(
            "# With these lines, an AWS SDK talks to it: try `make deploy`. Ctrl-C stops it and leaves nothing behind.",
            flush=True,
        )
        while not stop.wait(1.0):
            cloud.check()


if __name__ == "__main__":
    with told():
        main()
