"""Requests that no browser with the page sends: they name what the visitor has not uploaded."""

from __future__ import annotations

import base64
import contextlib
import http.client
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
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from danet.app.choices import WHOLE_PICTURE
from danet.app.request_guard import FORM, MOST_MESSAGE, MOST_UPLOAD
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
        self.temporary = looked_up.parent
        with urllib.request.urlopen(f"{self.url}/config", timeout=WAIT_S) as answer:
            config = json.load(answer)
        self.events = config["dependencies"]
        self.kinds = {one["id"]: one["type"] for one in config["components"]}
        self.names = {one["id"]: one["props"].get("elem_id") for one in config["components"]}

    def event(self, kind: str) -> int:
        """The number of the event whose first input is of this kind."""
        return next(one["id"] for one in self.events if one["inputs"] and self.kinds[one["inputs"][0]] == kind)

    def post(self, path: str, content: Any) -> Any:
        """What the page answers to JSON."""
        asked = urllib.request.Request(
            f"{self.url}/gradio_api/{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
            return json.load(answer)

    def ask(self, event: int, first: Any, chosen: list[Any]) -> str:
        """What the page answers to an event with this first input, as text."""
        body = {"data": [first, *chosen], "fn_index": event, "session_hash": "by-hand", "trigger_id": None}
        self.post("queue/join", body)
        data = urllib.request.urlopen(f"{self.url}/gradio_api/queue/data?session_hash=by-hand", timeout=WAIT_S)
        deadline = time.monotonic() + WAIT_S  # heartbeats keep the connection alive
        with data as lines:
            in_time = takewhile(lambda _: time.monotonic() < deadline, lines)
            return next(text for line in in_time if "process_completed" in (text := line.decode()))

    def stream(self, pictures: list[dict[str, Any]], chosen: list[Any]) -> list[dict[str, Any]]:
        """What the page answers to a webcam's pictures, one after the other, until it ends the stream or they end."""
        event = next(one["id"] for one in self.events if one["inputs"] and self.names[one["inputs"][0]] == "webcam")
        session = f"webcam-{time.monotonic_ns()}"
        left = [
            {"data": [picture, None, *chosen], "fn_index": event, "session_hash": session, "trigger_id": None}
            for picture in pictures
        ]
        stream = self.post("queue/join", left.pop(0))["event_id"]
        answers: list[dict[str, Any]] = []
        data = urllib.request.urlopen(f"{self.url}/gradio_api/queue/data?session_hash={session}", timeout=WAIT_S)
        with data as lines:
            for line in lines:
                message = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
                if message.get("msg") in ("process_streaming", "process_completed"):
                    answers.append(message)
                if message.get("msg") == "process_streaming":
                    self.post(f"stream/{stream}", left.pop(0)) if left else self.post(f"stream/{stream}/close", {})
                if message.get("msg") == "process_completed":
                    break
        return answers

    def files(self) -> set[Path]:
        """What the server keeps of its visitors."""
        return {path for path in self.temporary.glob("danet-app-*/**/*") if path.is_file()}

    def status(self, path: str, headers: dict[str, str], body: bytes = b"") -> int:
        """The status of the answer to a request with these headers, a POST where there are any."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.putrequest("POST" if body else "GET", path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            return connection.getresponse().status

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


def of_webcam(content: bytes, kind: str = "jpeg") -> dict[str, Any]:
    """A picture as the page sends a webcam's."""
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {"path": None, "url": url, "meta": {"_type": "gradio.FileData"}}


def test_a_webcam_leaves_no_files(page: Page, portrait: Path) -> None:
    """At ten overlays to a second they would be gigabytes in the hour for which they are kept."""
    before = page.files()
    answers = page.stream([of_webcam(portrait.read_bytes())] * 4, CHOSEN)
    assert [answer["success"] for answer in answers] == [True] * 5
    overlay, sentence, _ = answers[0]["output"]["data"]
    assert overlay["url"].startswith("data:image/jpeg;base64,")
    assert sentence.startswith("1 person, ")
    assert page.files() == before


def test_a_webcam_goes_on_when_another_model_is_chosen(page: Page, portrait: Path) -> None:
    """A picture that is sent before the page has the new model's backends names one of the model before."""
    answers = page.stream([of_webcam(portrait.read_bytes())] * 2, ["danet72", "tflite", *CHOSEN[2:]])
    assert [answer["success"] for answer in answers] == [True] * 3


def test_a_webcam_picture_of_too_many_pixels(page: Page) -> None:
    """100 million of one grey, 100 kilobytes."""
    content = cv2.imencode(".png", np.zeros((10_000, 10_000), np.uint8))[1].tobytes()
    (answer,) = page.stream([of_webcam(content, "png")], CHOSEN)
    assert not answer["success"]
    assert "10000 x 10000 pixels, expected at most 50 million" in answer["output"]["error"]


FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=cut"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{url}"}, 200),
        ({"Origin": "{url}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://pose.example", "Sec-Fetch-Site": "same-origin"}, 200),  # a proxy that puts its own Host
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "{url}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}, 403),
    ],
)
def test_another_site_uploads_nothing(page: Page, headers: dict[str, str], status: int) -> None:
    head = b'--cut\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
    body = head + str(time.monotonic_ns()).encode() + b"\r\n--cut--\r\n"  # a file of the same content has its name
    sent = {name: value.format(url=page.url) for name, value in headers.items()}
    before = page.files()
    assert page.status("/gradio_api/upload", {**FORM_TYPE, **sent, "Content-Length": str(len(body))}, body) == status
    assert len(page.files() - before) == (status == 200)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200),
        ("localhost", 200),
        ("LOCALHOST.:1", 200),
        ("[::1]:7860", 200),
        ("evil.example:7860", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.0.2", 403),
        ("0.0.0.0:7860", 403),
        ("[", 403),
        ("", 403),
    ],
)
def test_a_name_that_was_given_this_address(page: Page, host: str, status: int) -> None:
    assert page.status("/config", {"Host": host, "X-Forwarded-Host": "localhost"}) == status


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("upload", {"Content-Length": str(MOST_UPLOAD + FORM + 1)}, 413),
        ("queue/join", {"Content-Length": str(MOST_MESSAGE + 1)}, 413),
        ("upload", {"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_large_requests_are_refused_before_they_are_read(
    page: Page, path: str, headers: dict[str, str], status: int
) -> None:
    assert page.status(f"/gradio_api/{path}", {**FORM_TYPE, **headers}, b"0") == status


def test_links_to_the_page(page: Page) -> None:
    assert page.status("/", {"Sec-Fetch-Site": "cross-site", "Referer": "https://other.example/"}) == 200
