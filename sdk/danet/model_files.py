"""The files that a model is made of."""

from __future__ import annotations

import hashlib
from pathlib import Path


def model_files(path: Path) -> tuple[Path, ...]:
    """The files that make up a model: an IR keeps its weights beside it."""
    return (path, path.with_suffix(".bin")) if path.suffix.lower() == ".xml" else (path,)


def model_sha256(path: Path) -> str:
    """SHA-256, in hex, of the files of a model one after the other.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for part in model_files(path):
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def files_state(path: Path) -> list[tuple[int, ...]]:
    """What changes when one of a model's files is written or replaced; without those that are missing."""
    found = [part.stat() for part in model_files(path) if part.is_file()]
    return [(one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in found]
