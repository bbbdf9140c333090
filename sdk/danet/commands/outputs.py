"""Files that commands write: refused before any work where writing would cost what is read."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from danet.errors import InputError
from danet.files import refuse_folder, refuse_unwritable
from danet.model_files import model_files


def output(text: str) -> str:
    """The type of an option that names a file to write, for argparse."""
    if not text:  # a variable of the shell that is not set
        raise argparse.ArgumentTypeError("an empty name, expected a file's")
    return text


def refuse_over(target: Any, read: Iterable[Any], *, beside: bool = True) -> None:
    """Refuse to write over files that are read, or where nothing can be written.

    Args:
        target: path; None and "-" are no files.
        read: paths of pictures, models (an IR's weights count too) and others, or None.
        beside: whether the file is made beside its place, and not written as it stands there.

    Raises:
        InputError: `target` is one of them, under whatever name.
        OSError: as `danet.files.refuse_unwritable`.
    """
    if target in (None, "-"):
        return
    out = Path(target)
    if beside:
        refuse_unwritable(out)
    else:
        refuse_folder(out)
    written = identity(out)
    if written is None:
        return
    files = (part for one in read if one is not None for part in model_files(Path(one)))
    if any(identity(file) == written for file in files):
        raise InputError(f"{out} is read; write to another file")


def identity(path: Path) -> tuple[int, int] | None:
    """What all names of a file share; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
