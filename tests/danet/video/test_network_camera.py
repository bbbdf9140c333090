"""A real network camera: Motion JPEG over HTTP, read by OpenCV's FFmpeg, that drops out, stalls and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import pytest

from danet.errors import SourceError
from danet.video.capture_thread import Limits
from danet.video.latest_reader import LatestFrameReader
from danet.video.opening import open_source

from .conftest import number_of, numbered


class MjpegCamera:
    """Sends 25 numbered pictures a second; `mode` says how it behaves."""

    def __init__(self) -> None:
        self.mode = "sends"
        self.connections = 0
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.connections += 1
                if camera.mode == "refuses":
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                index = 0
                while camera.mode in ("sends", "stalls"):
                    if camera.mode == "sends":
                        self._send(index)
                        index += 1
                    time.sleep(0.04)

            def _send(self, index: int) -> None:
                data = cv2.imencode(".jpg", numbered(index % 256))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                self.wfile.write(head + data + b"\r\n")

            def log_message(self, format: str, *args: Any) -> None: ...

        class Server(ThreadingHTTPServer):  # a reader that goes away is no news
            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/video.mjpg"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.mode = "off"
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def camera() -> Iterator[MjpegCamera]:
    made = MjpegCamera()
    yield made
    made.close()


LIMITS = Limits(open_s=11, stall_s=1, give_up_s=30, first_retry_s=0.2, longest_retry_s=0.5)


@pytest.mark.slow
def test_it_drops_out_stalls_and_comes_back(camera: MjpegCamera) -> None:
    source = open_source(camera.address, limits=LIMITS)
    assert isinstance(source, LatestFrameReader)
    frames = iter(source)
    first = [next(frames) for _ in range(3)]
    assert [frame.index for frame in first] == sorted({frame.index for frame in first})
    assert all(number_of(frame.image) <= 255 for frame in first)

    camera.mode = "refuses"
    threading.Timer(0.5, setattr, [camera, "mode", "sends"]).start()
    end = time.monotonic() + 20
    while source.reconnects == 0 and time.monotonic() < end:
        next(frames)
    assert source.reconnects == 1

    camera.mode = "stalls"
    threading.Timer(1.5, setattr, [camera, "mode", "sends"]).start()
    end = time.monotonic() + 20
    while source.reconnects == 1 and time.monotonic() < end:
        next(frames)
    assert source.reconnects >= 2

    source.close()
    assert next(frames, None) is None


def test_it_goes_for_good(camera: MjpegCamera) -> None:
    source = open_source(camera.address, live=True, limits=Limits(first_retry_s=0.2))
    assert isinstance(source, LatestFrameReader)
    frames = iter(source)
    next(frames)
    source.limits = Limits(give_up_s=2)  # the first frame may take longer
    camera.mode = "refuses"
    with pytest.raises(SourceError, match=r"video\.mjpg: no frame for \d+ s, connected anew 0 times"):
        list(frames)
