"""`danet app`: a page on which models can be tried on pictures, videos and a webcam."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from danet.commands.command import Command
from danet.commands.console import human, wrong_use
from danet.commands.detector_options import NOT_FILES, add_detector_options
from danet.commands.option_types import threads

LAST_PORT = 65535
HERE = "127.0.0.1"


def _port(text: str) -> int:
    """A port number."""
    if not text.isdecimal() or not 0 < int(text) <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a port in 1..{LAST_PORT}")
    return int(text)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", metavar="MODEL", nargs="*", default=["danet72"], help="files or embedded models to offer (danet72)"
    )
    parser.add_argument(
        "--detector", metavar="FILE", action="append", default=[], help="a person detector to offer; may be repeated"
    )
    add_detector_options(parser)
    parser.add_argument("--host", default=HERE, help=f"interface to listen on ({HERE}: this machine only)")
    parser.add_argument("--port", type=_port, help="the first free one from 7860 on if not given")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    parser.add_argument("--threads", metavar="N", type=threads, help="cores to use (all)")


def _run(options: argparse.Namespace) -> int:
    files = [name for name in options.detector or () if name not in NOT_FILES]
    if len(files) != 1 and (options.head, options.person_class) != (None, None):
        return wrong_use("app", f"--head and --person-class are for one detector's file, not for {len(files)}")
    from danet.app.choices import offered
    from danet.app.engines import Engines
    from danet.app.request_guard import is_of_this_machine
    from danet.app.server import running_page

    choices = offered(options.models, options.detector)
    engines = Engines(choices, options.threads, head=options.head, person_class=options.person_class)
    for name, backends in choices.backends.items():  # a model that does not open is told now, not to the visitors
        with engines.estimator(name, backends[0]):
            pass
    for name in choices.detectors:
        with engines.detector(name):
            pass
    with (
        _until_told() as told,
        running_page(engines, host=options.host, port=options.port, open_browser=not options.no_browser) as url,
    ):
        human().print(f"{url} serves {', '.join(choices.models)}; Ctrl-C ends it", markup=False, soft_wrap=True)
        if not is_of_this_machine(options.host):
            human().print("everyone who reaches this address can use it; there is no password", markup=False)
        while not told.wait(0.5):  # without an end the wait cannot be interrupted on Windows (CPython #80116)
            pass
    return 0


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set: both are the usual end of a server."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COMMAND = Command("app", "Open a page to try models on pictures, videos and a webcam.", _add_arguments, _run)
