"""Serving the page: on this machine, without the internet, leaving nothing behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from danet.app.request_guard import MOST_UPLOAD, RequestGuard
from danet.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import gradio as gr

    from danet.app.engines import Engines

MOST_WAITING = 32
"""Requests in the queue; further ones are told to come again."""
SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Keep Gradio and its libraries from calling home; they are read at import and later on."""


@contextmanager
def running_page(engines: Engines, *, host: str, port: int | None, open_browser: bool) -> Iterator[str]:
    """Serve the page for the time of a `with` block; gives its address.

    Args:
        engines: closed at the end.
        host: the interface to listen on; 127.0.0.1 is seen by this machine only.
        port: None: the first free one from 7860 on.
        open_browser: open the page in the user's browser.

    Raises:
        MissingExtraError: Gradio is not installed.
        InputError: the port is taken, or no such host.
    """
    if find_spec("gradio") is None:
        raise MissingExtraError("the page", "app", "gradio")
    with tempfile.TemporaryDirectory(prefix="danet-app-") as folder, _environment(GRADIO_TEMP_DIR=folder, **SETTINGS):
        from danet.app.page import build_page, theme

        page = build_page(engines)
        page.queue(max_size=MOST_WAITING, default_concurrency_limit=1)
        options = {"server_name": host, "server_port": port, "inbrowser": open_browser, "theme": theme()}
        try:
            yield _launch(page, options)
        finally:
            page.close(verbose=False)
            engines.close()


def _launch(page: gr.Blocks, options: dict[str, Any]) -> str:
    try:
        address: str = page.launch(
            **options,
            app_kwargs={"middleware": [_guard(options["server_name"])]},
            max_file_size=MOST_UPLOAD,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
        )[1]
    except (OSError, ValueError) as error:
        host, port = options["server_name"], options["server_port"]
        where = host if port is None else f"{host}:{port}"
        raise InputError(f"the page cannot be served on {where}; choose another --host or --port ({error})") from error
    return address


def _guard(host: str) -> Any:
    """`RequestGuard` as FastAPI takes it: Starlette comes with Gradio only."""
    return import_module("starlette.middleware").Middleware(RequestGuard, host=host)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables for the time of a `with` block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
