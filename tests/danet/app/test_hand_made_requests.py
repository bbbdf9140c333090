"""Requests that no browser with the page sends: they name what the visitor has not uploaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet.app.choices import WHOLE_PICTURE
from danet.frame import read_picture

pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'danet-edge[app]'")

SERVER = """
import sys
from pathlib import Path

def watch(event, arguments):
    if event == "socket.getaddrinfo":
        with Path(sys.argv[1]).open("a") as log:
            log.write(f"{arguments[0]}\\n")

sys.addaudithook(watch)
from danet.app.choices import offered
from danet.app.engines import Engines
from danet.app.server import running_page
with running_page(Engines(offered(["danet72"]), 1), host="127.0.0.1", port=None, open_browser=False) as url:
    print(url, flush=True)
    sys.stdin.read()
"""
"""The page, which writes down each host that it looks up, until its input ends."""
CHOSEN = ["danet72", "openvino", WHOLE_PICTURE, 0.2, False]
WAIT_S = 60


class Page:
    """A running page, asked without a browser."""

    def __init__(self, url: str, looked_up: Path) -> None:
        self.url = url.rstrip("/")
        self.looked_up = looked_up
        with urllib.request.urlopen(f"{self.url}/config", timeout=WAIT_S) as answer:
            config = json.load(answer)
        self.events = config["dependencies"]
        self.kinds = {one["id"]: one["type"] for one in config["components"]}

    def event(self, kind: str) -> int:
        """The number of the event whose first input is of this kind."""
        return next(one["id"] for one in self.events if one["inputs"] and self.kinds[one["inputs"][0]] == kind)

    def ask(self, event: int, first: Any, chosen: list[Any]) -> str:
        """What the page answers to an event with this first input, as text."""
        body = {"data": [first, *chosen], "fn_index": event, "session_hash": "by-hand", "trigger_id": None}
        asked = urllib.request.Request(
            f"{self.url}/gradio_api/queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=WAIT_S):
            pass
        data = urllib.request.urlopen(f"{self.url}/gradio_api/queue/data?session_hash=by-hand", timeout=WAIT_S)
        deadline = time.monotonic() + WAIT_S  # heartbeats keep the connection alive
        with data as lines:
            in_time = takewhile(lambda _: time.monotonic() < deadline, lines)
            return next(text for line in in_time if "process_completed" in (text := line.decode()))

    def upload(self, file: Path) -> str:
        """The name of an upload on the server."""
        body = b"\r\n".join(
            (
                b'--cut\r\nContent-Disposition: form-data; name="files"; filename="upload.png"',
                b"Content-Type: image/png\r\n",
                file.read_bytes(),
                b"--cut--\r\n",
            )
        )
        asked = urllib.request.Request(
            f"{self.url}/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=cut"}
        )
        with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
            (name,) = json.load(answer)
        return str(name)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("by-hand")
    log = folder / "hosts.log"
    log.touch()
    with (
        (folder / "errors").open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SERVER, str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        ) as process,
    ):
        too_late = threading.Timer(WAIT_S, process.kill)
        too_late.start()
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, (folder / "errors").read_text()
            too_late.cancel()
            yield Page(url, log)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(WAIT_S)
        finally:
            too_late.cancel()
            process.kill()


def file_data(path: str) -> dict[str, Any]:
    return {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}


def test_an_upload_is_answered(page: Page, portrait: Path, tmp_path: Path) -> None:
    """So that the refusals below mean something."""
    upload = tmp_path / "upload.png"
    cv2.imwrite(str(upload), read_picture(portrait))
    answer = page.ask(page.event("image"), file_data(page.upload(upload)), CHOSEN)
    assert '"success":true' in answer.replace(" ", "")


@pytest.mark.parametrize("kind", ["image", "file"])  # pictures and videos
@pytest.mark.parametrize("address", ["http://example.com/x.png", "https://example.com/x.mp4", "ftp://example.com/x"])
def test_an_address_is_not_looked_up(page: Page, kind: str, address: str) -> None:
    answer = page.ask(page.event(kind), file_data(address), CHOSEN)
    assert "this page opens no addresses" in answer
    assert "example.com" not in page.looked_up.read_text()


def test_a_file_of_the_server_is_not_opened(page: Page, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    cv2.imwrite(str(secret), np.zeros((60, 80, 3), np.uint8))
    answer = page.ask(page.event("image"), file_data(str(secret)), CHOSEN)
    assert '"success":false' in answer.replace(" ", "")
    assert "poses" not in answer
