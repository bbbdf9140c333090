"""The guard by itself; that it stands before the page: test_hand_made_requests.py."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from danet.app.request_guard import FORM, MOST_MESSAGE, MOST_UPLOAD, RequestGuard, is_of_this_machine

ANYWHERE = "0.0.0.0"


def status(
    host: str, headers: dict[str, str], path: str = "/gradio_api/upload", kind: str = "http", method: str = "POST"
) -> int:
    """What a request is answered that the guard of a server on `host` stands before; 200 by the application."""
    sent: list[MutableMapping[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the guard reads no body")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "path": path, "headers": pairs}
    asyncio.run(RequestGuard(application, host)(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "pose.example"}, 200),
        ({"Host": "192.168.0.2:7860", "Origin": "http://192.168.0.2:7860"}, 200),
        ({"Host": "Pose.example", "Origin": "https://pose.example"}, 200),
        ({"Host": "pose.example", "Origin": "https://evil.example"}, 403),
        ({"Host": "192.168.0.2:7860", "Origin": "http://192.168.0.2:8080"}, 403),
        # no page can send this header without being asked for its origin first, but Gradio would say yes
        ({"Host": "192.168.0.2:7860", "Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}, 403),
        ({"Host": "10.0.0.7:7860", "Origin": "https://pose.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "pose.example", "Origin": "https://pose.example", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "pose.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 200),  # whoever can reach it may use it
        ({}, 200),
    ],
)
def test_a_server_for_others(headers: dict[str, str], expected: int) -> None:
    assert status(ANYWHERE, headers) == expected


def test_a_link_from_elsewhere_is_followed() -> None:
    headers = {"Host": "pose.example", "Sec-Fetch-Site": "cross-site"}
    assert [status(ANYWHERE, headers, "/", method=method) for method in ("GET", "HEAD")] == [200, 200]
    assert status(ANYWHERE, {**headers, "Origin": "https://evil.example"}, "/", method="GET") == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "[::1]"])
def test_a_server_for_its_own_machine(host: str) -> None:
    assert status(host, {"Host": "localhost:7860", "Origin": "http://localhost:7860"}) == 200
    assert status(host, {"Host": "evil.example", "Origin": "http://evil.example"}) == 403
    assert status(host, {}) == 403


@pytest.mark.parametrize(
    ("path", "length", "expected"),
    [
        ("/gradio_api/upload", str(MOST_UPLOAD + FORM), 200),
        ("/gradio_api/upload", str(MOST_UPLOAD + FORM + 1), 413),
        ("/behind/a/proxy/gradio_api/upload/", str(MOST_UPLOAD), 200),
        ("/gradio_api/queue/join", str(MOST_MESSAGE), 200),
        ("/gradio_api/queue/join", str(MOST_MESSAGE + 1), 413),
        ("/gradio_api/queue/join", "-1", 413),
        ("/gradio_api/queue/join", "9" * 5000, 413),
    ],
)
def test_sizes(path: str, length: str, expected: int) -> None:
    assert status(ANYWHERE, {"Content-Length": length}, path) == expected


def test_what_is_no_request() -> None:
    assert status("127.0.0.1", {"Host": "evil.example"}, kind="lifespan") == 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("localhost", True),
        ("page.localhost", True),
        ("127.8.9.1", True),
        ("[::1]", True),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("pose.example", False),
        ("", False),
    ],
)
def test_names_of_this_machine(name: str, expected: bool) -> None:
    assert is_of_this_machine(name) is expected
