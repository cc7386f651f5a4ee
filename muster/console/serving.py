"""Serves the console on this machine, until Ctrl-C."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI
from nicegui import app as library
from nicegui import ui
from nicegui.client import templates

from muster.console.asking import Asking
from muster.console.door import HOST, Door
from muster.console.guarding import GuardedApp
from muster.console.pages.routes import register
from muster.console.policy import inline_scripts, page_policy
from muster.operator.client import Operator

SIGNING = ("botocore", "httpx", "httpcore", "urllib3")
"""Loggers that write down requests, with what signs them, when somebody asks for their debug output."""

LARGEST_MESSAGE_BYTES = 1 << 20
SHUTDOWN_SECONDS = 1
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#155e75"/>'
    '<g fill="#fff"><circle cx="9" cy="10" r="3"/><circle cx="23" cy="10" r="3"/><circle cx="16" cy="23" r="4"/></g></svg>'
)


def serve(operator: Operator, port: int, tell: Callable[[str], None]) -> None:
    """Serve the console at a port of the loopback interface (0: any that is free), until this process is asked to end. Once it
    listens, `tell` is given the link that opens it.

    Raises:
        OSError: the port is taken.
    """
    keep_quiet()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
        door, asking = Door(listener.getsockname()[1]), Asking(operator)
        server = uvicorn.Server(uvicorn.Config(
            made(door, asking), log_config=None, access_log=False, log_level="warning", lifespan="on", ws="websockets-sansio",
            ws_max_size=LARGEST_MESSAGE_BYTES, proxy_headers=False, server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ))  # fmt: skip
        asking.start()
        tell(door.link)
        try:
            server.run(sockets=[listener])
        finally:
            asking.stop()


def keep_quiet() -> None:
    """Let nothing that signs write down what it does, whatever level somebody has set for all loggers."""
    for name in SIGNING:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("nicegui").setLevel(logging.ERROR)  # it would write down each address that leads nowhere


def made(door: Door, asking: Asking) -> GuardedApp:
    """The whole application, behind its door. The library keeps its pages for the whole process: one console each."""
    inner = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    library.config.socket_io_js_transports = ["websocket"]
    ui.run_with(
        inner, root=register(asking), title="muster console", favicon=ICON, dark=None, language="en-US", tailwind=False,
        gzip_middleware_factory=None, show_welcome_message=False, binding_refresh_interval=None,
    )  # fmt: skip
    return GuardedApp(inner, door, partial(page_policy, scripts=own_scripts(), address=door.address))


def own_scripts() -> int:
    """How many scripts the library's page holds when there is nothing on it."""
    return len(inline_scripts(templates.get_template("index.html").render(translations={})))
