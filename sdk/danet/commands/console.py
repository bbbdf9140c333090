"""What commands print: people read stderr, programs read stdout or a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from danet.files import write_beside
from danet.printable import printable


class _HumanConsole(Console):
    """Shows text as it is: no markup, and nothing in it that would steer the terminal.

    Much of what commands tell comes out of files of others.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text that is printed, cells of tables too, passes here."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def human() -> Console:
    """The console for people: stderr."""
    return _HumanConsole(stderr=True, highlight=False)


class _Bar(Progress):
    def stop(self) -> None:
        """Rich before 14.1 ends a bar that was never shown by an empty line."""
        if not self.disable:
            super().stop()


def progress_bar(*more: ProgressColumn) -> Progress:
    """A bar on stderr, with more columns if given; silent where stderr is no terminal."""
    console = human()
    return _Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *more,
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def wrong_use(command: str, message: str) -> int:
    """Tell of options that do not go together, as argparse tells of one; gives the exit status."""
    human().print(f"danet {command}: error: {message}", soft_wrap=True)
    return 2


def in_words(error: Exception) -> str:
    """An error for people: the system's with the file that it is about."""
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or error}"
    return str(error)


def write_json(content: Any, target: str) -> None:
    """Write JSON to a file, whole or not at all, or to stdout for "-"."""
    text = json.dumps(content, indent=1) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with write_beside(Path(target)) as temporary:
        temporary.write_text(text, encoding="utf-8")
