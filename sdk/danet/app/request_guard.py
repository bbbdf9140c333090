"""Which requests the page answers: its own browsers', of a bounded size, and no other website's.

A website that somebody visits may send requests to a server on that person's machine: an upload needs no permission
of the server's (no preflight, in CORS's words). It may also give its own name the address 127.0.0.1 (DNS rebinding),
and is the same site then as far as a browser can tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_UPLOAD = 200 * 2**20
"""Bytes of one upload."""
MOST_MESSAGE = 32 * 2**20
"""Bytes of any other request: a picture of a webcam of 4K has some 4 million as JPEG, 25 as PNG."""
FORM = 2**20
"""Bytes that a form may add to its files."""
READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; RFC 9110 calls them safe."""
LONGEST_NUMBER = 20
"""Digits; Python refuses to read numbers of thousands."""


class RequestGuard:
    """An ASGI application in front of another, which refuses requests that are not for the page.

    - From a page of another site (403), told as Go's `http.CrossOriginProtection` tells it: by `Sec-Fetch-Site`, which
      browsers send to HTTPS and to localhost, and no page can forge; else by whether `Origin` is of `Host`. Programs
      without a browser send neither. Links from elsewhere, which only read and carry no `Origin`, are answered.
    - Where the server listens on this machine alone, for any other host's name (403).
    - With a body above `MOST_UPLOAD` for an upload, `MOST_MESSAGE` for all else (413), or of no stated length (411).

    Args:
        application: which answers the others.
        host: the interface that the server listens on.
    """

    def __init__(self, application: Application, host: str) -> None:
        self._application = application
        self._local = is_of_this_machine(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._application(scope, receive, send)
        else:
            await _answer(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and text; None where there is nothing to refuse."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self._local and not is_of_this_machine(_name_of(host)):
            return 403, (
                f"host {host!a:.100}, expected localhost or 127.0.0.1, since this page is for its own machine; open it "
                "there, or let a proxy send such a Host (docs/app.md)"
            )
        if _is_from_elsewhere(scope["method"], headers, host):
            return 403, "a request by a page of another site, expected one by this page; open it itself"
        most = MOST_UPLOAD + FORM if scope["path"].rstrip("/").endswith("/upload") else MOST_MESSAGE
        length = headers.get("content-length")
        if length is None:
            chunked = "transfer-encoding" in headers
            return (411, "a body of no stated length, expected a Content-Length") if chunked else None
        if not length.isdecimal() or len(length) > LONGEST_NUMBER or int(length) > most:
            return 413, f"{length:.20} bytes, expected at most {most}; send less at a time"
        return None


def is_of_this_machine(name: str) -> bool:
    """Whether a host's name or address reaches none but the machine that asks: localhost, 127.0.0.0/8, ::1."""
    plain = name.strip("[]").rstrip(".").lower()
    if plain == "localhost" or plain.endswith(".localhost"):
        return True
    try:
        return ip_address(plain).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """A Host header without its port; empty where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_from_elsewhere(method: str, headers: dict[str, str], host: str) -> bool:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and (site is None or method in READING):
        return False
    if site is not None:
        return site not in ("same-origin", "none")
    return (origin or "").partition("://")[2].lower() != host.lower()


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
