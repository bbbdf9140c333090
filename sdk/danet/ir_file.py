"""What holds the two files of an OpenVINO IR together: the .xml ends with a checksum of its .bin.

OpenVINO itself takes any .bin that is long enough, and answers with the wrong weights. The checksum is a
comment behind the graph: every XML reader skips it, and a tool that writes the model anew drops it, so that
it never speaks of another file's weights.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from danet.errors import ModelFileError

_COMMENT = "<!--danet.weights_sha256 {}-->\n"
_FOUND = re.compile(rb"<!--danet\.weights_sha256 ([0-9a-f]{64})-->\s*\Z")
_TAIL = 256
"""Bytes at the end of an .xml in which the checksum is looked for."""


def seal(path: Path) -> None:
    """Append the checksum of the .bin beside `path` (.xml) to it."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(_COMMENT.format(_weights_sha256(path)))


def check_seal(path: Path) -> None:
    """Compare the .bin beside `path` (.xml) with the checksum; files without one are taken as they are.

    Raises:
        ModelFileError: the .bin is damaged or belongs to another .xml, or a file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            found = _FOUND.search(file.read(_TAIL))
        if found is None or found[1].decode() == _weights_sha256(path):
            return
    except OSError as error:
        raise ModelFileError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error
    raise ModelFileError(
        f"{path}: {path.with_suffix('.bin').name} is damaged, or of another model: it is not what the checksum at the "
        "end of the .xml says; copy both files together, or export them again"
    )


def _weights_sha256(path: Path) -> str:
    with path.with_suffix(".bin").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
