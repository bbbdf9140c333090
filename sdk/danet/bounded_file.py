"""Reading files of unknown origin: no more than a limit, and no more memory than they have bytes."""

from __future__ import annotations

import os
from pathlib import Path


def read_at_most(path: Path, limit: int) -> bytes:
    """A file's bytes, of which there are more than `limit` only where the file is larger: then it was not read whole.

    `read(limit + 1)` alone would ask the system for that much memory, whatever the file's size.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, limit) + 1)
        if size < len(data) <= limit:  # it grows, or is a device or pipe, which state no size
            data += file.read(limit + 1 - len(data))
    return data
