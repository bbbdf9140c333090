"""The `danet` command: finds the subcommands of all installed packages and runs one."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points, version

from danet.commands.command import GROUP, Command
from danet.errors import DanetError
from danet.printable import last_line, one_line

LONGEST_NAME = len("benchmark")
_NO_MEMORY = (
    "bad_alloc",
    "can't alloc",
    "Cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
)
"""Words of libstdc++, OpenVINO, the C library, its loader and Python where memory is at an end."""

_NO_LIBRARY = "cannot open shared object file"
"""What the loader says where a Python package lacks a library of the system, as in slim containers."""


def commands() -> list[Command]:
    """The subcommands of all installed packages, by name."""
    found: list[Command] = [entry.load() for entry in entry_points(group=GROUP)]
    return sorted(found, key=lambda command: command.name)


class _Columns(argparse.HelpFormatter):
    """Keeps each command and its help on one line: argparse forgets that subcommands are indented by four."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = 4 + LONGEST_NAME


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="danet", description="Human pose on CPUs: models, pictures, conversion.", formatter_class=_Columns
    )
    parser.add_argument("--version", action="version", version=f"danet-edge {version('danet-edge')}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands():
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status.

    0 done, 1 failed, 2 wrong use (raised by argparse), 130 after Ctrl-C, 143 after SIGTERM; whatever ends a
    command, its unfinished files are removed.
    """
    try:
        with _sigterm_raises():
            options = build_parser().parse_args(arguments)
            status: int = options.run(options)
            sys.stdout.flush()
    except DanetError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # the reader of stdout went away; keep the interpreter's exit from complaining about it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}")
    except (MemoryError, ImportError, RuntimeError) as error:
        if not _lacks_memory(error):
            if isinstance(error, ImportError) and _NO_LIBRARY in str(error):
                return _fail(
                    f"a library of the system is missing ({last_line(error)}); OpenCV needs Debian's libgl1 and "
                    "libglib2.0-0, or opencv-python-headless in the place of opencv-python"
                )
            raise
        why = last_line(error) if str(error).strip() else "none left"
        return _fail(f"out of memory ({why}); give this process more, or smaller input")
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130
    except _TerminatedError:
        _fail("terminated")
        return 143
    return status


class _TerminatedError(BaseException):
    """SIGTERM came. Not an Exception, as KeyboardInterrupt is none: no handler of errors may swallow it."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, where nobody else handles it."""
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not mine:
        yield
        return
    again = getattr(signal, "SIGALRM", None)  # Windows has none

    def end(*_: object) -> None:
        if _is_ending(sys.exception()):
            return  # a second one must not break the tidying
        if again is not None:
            # C code that asks Python for something may take any exception for "no" (PyErr_Clear), this one too
            signal.signal(again, end)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
        raise _TerminatedError

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if again is not None and signal.getsignal(again) is end:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(again, signal.SIG_DFL)


_PATIENCE_S = 1.0
"""Seconds after which SIGTERM counts as lost where nothing is being tidied up."""


def _is_ending(error: BaseException | None) -> bool:
    """Whether what is being handled, or what it was raised in the handling of, is a SIGTERM."""
    while error is not None and not isinstance(error, _TerminatedError):
        error = error.__context__
    return error is not None


def _lacks_memory(error: Exception) -> bool:
    """Whether there was no more memory: C++ libraries say so in words, and their own loading fails for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def _fail(message: str) -> int:
    print(f"danet: error: {one_line(message)}", file=sys.stderr)
    return 1
