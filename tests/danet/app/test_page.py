"""The page as visitors see it: a real server, a real browser, real uploads."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet.frame import read_picture

pytestmark = pytest.mark.slow
pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'danet-edge[app]'")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="a browser is driven by Playwright: pip install playwright"
)

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
ANSWER_MS = 60_000
SERVER = """
import argparse, sys
from pathlib import Path

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        with Path(sys.argv[1]).open("a") as log:
            log.write(f"{host}\\n")

sys.addaudithook(watch)
from danet.commands.app import COMMAND
parser = argparse.ArgumentParser()
COMMAND.add_arguments(parser)
sys.exit(COMMAND.run(parser.parse_args(sys.argv[2:])))
"""
"""`danet app` that writes down each host that it looks up or connects to."""


class Served:
    """A running page."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.temporary = folder / "tmp"
        self.hosts = folder / "hosts.log"
        self.shots = Path(os.environ.get("DANET_SCREENSHOTS", folder))

    def files(self) -> list[Path]:
        """What the server keeps of its visitors."""
        return [path for path in self.temporary.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder / "hosts.log"), "danet72", "--no-browser"],
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        too_late = threading.Timer(ANSWER_MS / 1000, process.kill)
        too_late.start()
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("http://127.0.0.1:"), line + process.stderr.read()
            too_late.cancel()
            yield Served(line.split()[0], folder)
            process.send_signal(signal.SIGINT)
            status, errors = process.wait(20), process.stderr.read()
        finally:
            too_late.cancel()
            process.kill()
    assert (status, errors) == (0, "")
    assert [path for path in (folder / "tmp").iterdir() if path.name.startswith(("danet", "gradio"))] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", *CAMERA])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """The page in a fresh browser; it may ask this server only, and run without errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, permissions=["camera"])
    opened, asked, errors = context.new_page(), [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(error))
    opened.goto(served.url)
    opened.wait_for_selector("#picture input[type=file]", state="attached", timeout=ANSWER_MS)
    yield opened
    context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((served.url, "data:", "blob:"))] == []


def _sentence(page: Any, element: str, pattern: str = ".") -> str:
    page.wait_for_function(
        "([id, pattern]) => new RegExp(pattern).test(document.querySelector(`#${id} textarea`)?.value)",
        arg=[element, pattern],
        timeout=ANSWER_MS,
    )
    text: str = page.input_value(f"#{element} textarea")
    return text


def _picture(page: Any, selector: str) -> np.ndarray:
    """An <img> as BGR, as the browser has it."""
    page.wait_for_selector(selector, timeout=ANSWER_MS)
    source = page.get_attribute(selector, "src")
    kind, _, text = source.partition(",")
    data = base64.b64decode(text) if kind.startswith("data:") else page.request.get(source).body()
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def _choose(page: Any, menu: str, name: str) -> None:
    page.click(f"#{menu} input")
    page.get_by_role("option", name=name).click()


def test_a_picture_gives_overlay_and_json(page: Any, served: Served, portrait: Path, tmp_path: Path) -> None:
    page.set_input_files("#picture input[type=file]", str(portrait))
    assert _sentence(page, "sentence").startswith("1 person, mean keypoint score 0.")
    drawn, plain = _picture(page, "#overlay img"), read_picture(portrait)
    assert drawn.shape == plain.shape
    changed = np.abs(drawn.astype(int) - plain).max(2) > 80  # far more than JPEG changes
    assert 0.001 < changed.mean() < 0.2
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "poses.json")
    (person,) = json.loads((tmp_path / "poses.json").read_text())["persons"]
    x, y, score = person["keypoints"]["nose"]
    assert 180 < x < 260  # Eileen Collins' nose
    assert 80 < y < 160
    assert score > 0.2
    assert changed[round(y) - 12 : round(y) + 12, round(x) - 12 : round(x) + 12].any()
    page.get_by_text("Poses as JSON").click()
    page.screenshot(path=str(served.shots / "picture.png"), full_page=True)


def test_the_example_and_another_detector(page: Any) -> None:
    page.click("#examples button img, #examples img")
    assert _sentence(page, "sentence").startswith("1 person")
    _choose(page, "persons", "HOG")
    page.click("#find")
    assert "choose another one, or none" in _sentence(page, "sentence", "nobody")  # half a person is none to HOG


def test_errors_are_shown(page: Any, served: Served, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    page.set_input_files("#picture input[type=file]", str(tmp_path / "broken.png"))
    page.wait_for_selector(".toast-body", timeout=ANSWER_MS)
    assert "broken.png: not a picture; expected JPEG" in page.inner_text(".toast-body")
    assert "/tmp" not in page.inner_text(".toast-body")
    page.wait_for_timeout(1000)  # it fades in
    page.screenshot(path=str(served.shots / "error.png"))


def test_a_video_is_annotated(page: Any, served: Served, clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="H.264 needs PyAV: pip install 'danet-edge[video]'")
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#video input[type=file]", str(clip))
    page.wait_for_selector("#video .file-preview", timeout=ANSWER_MS)
    page.click("#find-video")
    assert _sentence(page, "video-sentence", "reading").startswith("12 frames, ")
    page.wait_for_function("document.querySelector('#annotated video')?.videoWidth > 0", timeout=ANSWER_MS)
    size = page.evaluate("(v => [v.videoWidth, v.videoHeight])(document.querySelector('#annotated video'))")
    assert size == [160, 192]  # the browser can play it
    with page.expect_download() as download:
        page.click("#download-lines")
    download.value.save_as(tmp_path / "poses.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    page.screenshot(path=str(served.shots / "video.png"), full_page=True)


def test_the_webcam_runs(page: Any, served: Served) -> None:
    page.get_by_role("tab", name="Webcam").click()
    page.get_by_text("Click to Access Webcam").click()
    page.click("#webcam button[aria-label='capture photo']", timeout=ANSWER_MS)
    assert _sentence(page, "live-sentence", r"[1-9].* fps").startswith("1 person")
    assert _picture(page, "#live img").ndim == 3
    before, first = served.files(), _picture(page, "#live img")
    page.wait_for_function(
        "before => document.querySelector('#live img').src !== before", arg=page.get_attribute("#live img", "src")
    )
    assert (_picture(page, "#live img") != first).any()  # the camera's picture moves
    assert served.files() == before
    page.screenshot(path=str(served.shots / "webcam.png"), full_page=True)


def test_two_visitors_at_a_time(browser: Any, served: Served, portrait: Path) -> None:
    with contextlib.ExitStack() as stack:
        contexts = [stack.enter_context(contextlib.closing(browser.new_context())) for _ in range(2)]
        pages = [context.new_page() for context in contexts]
        for opened in pages:
            opened.goto(served.url)
            opened.wait_for_selector("#picture input[type=file]", state="attached", timeout=ANSWER_MS)
        for opened in pages:
            opened.set_input_files("#picture input[type=file]", str(portrait))
        answers = [_sentence(opened, "sentence").split(";")[0] for opened in pages]
    assert answers[0] == answers[1]


def test_nothing_calls_home(served: Served) -> None:
    hosts = set(served.hosts.read_text().split("\n")) - {""}
    assert [host for host in hosts if "127.0.0.1" not in host and host not in ("None", "localhost")] == []


def test_results_lie_in_one_folder(served: Served) -> None:
    """Which is removed at the end, as `served` checks."""
    assert {path.relative_to(served.temporary).parts[0][:10] for path in served.files()} <= {"danet-app-"}
