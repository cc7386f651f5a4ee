"""DynamoDB Local, AWS's own emulator: fetched from the npm registry into `build/`, of which nothing is kept here, and run.

It needs Java. Its licence lies beside it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "build" / "dynamodb-local"
PACKAGE = "amplify-dynamodb-simulator@2.9.30"
"""Its `emulator` folder is DynamoDB Local 1.25.1."""
JAR = "DynamoDBLocal.jar"
START_SECONDS = 60.0


class Unavailable(Exception):
    """DynamoDB Local cannot run here; the message says what is missing, and how to get it."""


@contextmanager
def running() -> Iterator[str]:
    """The endpoint of a DynamoDB Local that is empty, and stops with the block.

    Raises:
        Unavailable: there is no Java, or no package.
    """
    java = shutil.which("java")
    if java is None:
        raise Unavailable("there is no Java: apt-get install default-jre-headless, or put another java on the PATH")
    folder = _fetched()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [java, "-Djava.library.path=DynamoDBLocal_lib", "-jar", JAR, "-inMemory", "-port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _fetched() -> Path:
    """Where the emulator lies, fetched if it was not before."""
    folder = FOLDER / "package" / "emulator"
    if (folder / JAR).exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"there is no npm to fetch {PACKAGE} with; or unpack it into {FOLDER}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"npm pack {PACKAGE} failed: {done.stderr.strip()[-300:]}")
    archive = FOLDER / done.stdout.split()[-1]
    with tarfile.open(archive) as packed:
        packed.extractall(FOLDER, filter="data")
    archive.unlink()
    if not (folder / JAR).exists():
        raise Unavailable(f"{PACKAGE} holds no {JAR} any more")
    return folder


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise Unavailable(f"DynamoDB Local did not start: java said {process.poll()}")
