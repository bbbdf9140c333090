"""One input through one target: what is a refusal, and what is a finding.

A target may return, or raise a DanetError. Any other exception, a warning, a message that no terminal
can bear, seconds of processor time, hundreds of megabytes, or an act that reading a file never needs (a
process, a connection, a file removed) is a finding.
"""

from __future__ import annotations

import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from danet.errors import DanetError

Run = Callable[[bytes], None]

SECONDS = 3.0
"""Of processor time for one input; inputs have some kilobytes."""
MEMORY = 256 << 20
"""Bytes by which one input may raise the process's peak."""
MESSAGE = 4000
"""Characters of an error's message."""
_ROOT = Path(__file__).parents[2]
_REFERENCES = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_ACTS = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile"),
    *("os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.kill", "os.putenv", "shutil.rmtree"),
    *("subprocess.Popen", "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "ftplib.connect"),
    *("pickle.find_class", "code.__new__", "webbrowser.open", "pty.spawn", "ctypes.dlopen"),
)


class TooSlow(BaseException):
    """An input took more than `SECONDS`."""


class Forbidden(BaseException):
    """An input made the process do what no reading of a file needs."""


@dataclass(frozen=True)
class Finding:
    """What an input brought about."""

    name: str
    """Short and fit for a file's name: the same defect has the same name."""
    text: str
    """The traceback, or what was measured."""


_watching = False
_hooked = False


def _audit(event: str, arguments: Any) -> None:
    if _watching and event in _ACTS:
        raise Forbidden(f"{event} {arguments!r}"[:500])


def _slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {SECONDS} s of processor time")


def prepare() -> None:
    """Install what `check` watches with; an audit hook stays for the life of the process."""
    global _hooked
    signal.signal(signal.SIGPROF, _slow)
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True


def check(run: Run, data: bytes) -> Finding | None:
    """Run a target on an input; None where all is well. Call `prepare` once before."""
    global _watching
    before = _peak(anew=True)
    _watching = True
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(data)
    except DanetError as error:
        found = _too_long(error)
    except BaseException as error:
        found = _of(error)
    else:
        found = None
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown = _peak() - before
    return found or (Finding("memory", f"the peak rose by {grown >> 20} MiB") if grown > MEMORY else None)


def _peak(anew: bool = False) -> int:
    """Most bytes that the process has held, of late if the system can begin `anew`: other tests may have held more."""
    if not _REFERENCES.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    if anew:
        _REFERENCES.write_text("5")  # Linux: the peak is what is held now (man 5 proc)
    (line,) = (one for one in _STATUS.read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def _too_long(error: DanetError) -> Finding | None:
    length = len(str(error))
    if length <= MESSAGE:
        return None
    place = _place(error)
    return Finding(f"long-message-{place}", f"a message of {length} characters: {str(error)[:300]!a}")


def _of(error: BaseException) -> Finding:
    if isinstance(error, KeyboardInterrupt):
        raise error
    text = "".join(traceback.format_exception(error))
    return Finding(f"{type(error).__name__}-{_place(error)}", text[-6000:].encode("utf-8", "backslashreplace").decode())


def _place(error: BaseException) -> str:
    """File and line of the innermost frame in this repository outside the fuzzers."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if Path(one.filename).is_relative_to(_ROOT) and "/.venv/" not in one.filename]
    inner = [one for one in own if "/tests/fuzz/" not in one.filename] or own or frames
    return f"{Path(inner[-1].filename).stem}-{inner[-1].lineno}"
