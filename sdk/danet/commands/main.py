"""The `danet` command: finds the subcommands of all installed packages and runs one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from danet.commands.command import GROUP, Command, announced
from danet.commands.console import in_words
from danet.commands.ends import TerminatedError, signals_end
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
    found: Iterator[Command] = announced(GROUP)
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
    if None in (sys.stdin, sys.stdout, sys.stderr):  # a parent may have closed them (>&-); Windows' pythonw has none
        _open_standard_streams()
    try:
        with signals_end():
            options = build_parser().parse_args(arguments)
            status: int = options.run(options)
            sys.stdout.flush()
    except DanetError as error:
        return _fail(str(error))
    except BrokenPipeError as error:
        if error.filename is not None and not _is_stdout(error.filename):  # of a pipe that an option named
            return _fail(in_words(error))
        # the reader of stdout went away; keep the interpreter's exit from complaining about it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(in_words(error))
    except (MemoryError, ImportError, RuntimeError) as error:
        if not _lacks_memory(error):
            if isinstance(error, ImportError) and _NO_LIBRARY in str(error):
                return _fail(
                    f"a library of the system is missing ({last_line(error)}); OpenCV needs Debian's libgl1 and "
                    "libglib2.0-0, or opencv-python-headless below 5 in the place of opencv-python"
                )
            raise
        why = last_line(error) if str(error).strip() else "none left"
        return _fail(f"out of memory ({why}); give this process more, or smaller input")
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130
    except TerminatedError:
        _fail("terminated")
        return 143
    return status


def _open_standard_streams() -> None:
    """Put what leads nowhere in the place of closed ones, else the next file that is opened becomes one of them."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _is_stdout(name: str) -> bool:
    """Whether a name, such as /dev/stdout, leads to where stdout goes."""
    try:
        return os.path.samestat(Path(name).stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


def _lacks_memory(error: Exception) -> bool:
    """Whether there was no more memory: C++ libraries say so in words, and their own loading fails for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def _fail(message: str) -> int:
    print(f"danet: error: {one_line(message)}", file=sys.stderr)
    return 1
