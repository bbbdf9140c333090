"""The `danet` command: finds the subcommands of all installed packages and runs one."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from types import FrameType
from typing import Any

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
        with _signals_end():
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


_ENDS: dict[signal.Signals, tuple[Callable[[int, FrameType | None], Any] | signal.Handlers, type[BaseException]]] = {
    signal.SIGTERM: (signal.SIG_DFL, _TerminatedError),
    signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt),
}
"""The signals that end a command: Python's usual handler of each, and what is raised."""

_ALARM = getattr(signal, "SIGALRM", None)
"""Brings a lost signal again; Windows has none."""

_PATIENCE_S = 1.0
"""Seconds after which a signal counts as lost where nothing is being tidied up."""


@contextmanager
def _signals_end() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, and neither get lost, where nobody else handles them."""
    in_main = threading.current_thread() is threading.main_thread()
    mine = {
        number: _raising(error)
        for number, (usual, error) in _ENDS.items()
        if in_main and signal.getsignal(number) == usual
    }
    for number, handler in mine.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, _ENDS[number][0])
        if _ALARM is not None and signal.getsignal(_ALARM) in mine.values():
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(_ALARM, signal.SIG_DFL)


def _raising(error: type[BaseException]) -> Callable[[int, FrameType | None], None]:
    """A signal's handler that raises an error, and raises it again where that one was swallowed."""

    def end(number: int, _: FrameType | None) -> None:
        # Ctrl-C that is pressed again is meant: somebody has watched the tidying for long enough
        if number != signal.SIGINT and _is_ending(sys.exception()):
            return  # a second one must not break the tidying
        if _ALARM is not None:
            # C code that asks Python for something may take any exception for "no" (PyErr_Clear), this one too
            signal.signal(_ALARM, end)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
        raise error

    return end


def _is_ending(error: BaseException | None) -> bool:
    """Whether what is being handled, or what it was raised in the handling of, is a signal's end."""
    while error is not None and not isinstance(error, (_TerminatedError, KeyboardInterrupt)):
        error = error.__context__
    return error is not None


def _lacks_memory(error: Exception) -> bool:
    """Whether there was no more memory: C++ libraries say so in words, and their own loading fails for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def _fail(message: str) -> int:
    print(f"danet: error: {one_line(message)}", file=sys.stderr)
    return 1
