"""Poses as JSON Lines: an object and a newline for each frame."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from danet.errors import InputError
from danet.files import is_pipe_or_device
from danet.video.result import FramePoses


class JsonLinesWriter:
    """Writes `FramePoses.to_dict` of each frame as a line.

    The target itself is written, not a file beside it that is renamed at the end: `tail -f` and other programs can
    follow it, and a run of hours that is killed loses at most the line that is being written. What it holds is
    always whole lines but for that one: a line that cannot be written to its end is taken back.

    Args:
        path: written anew; "-" is standard output. A pipe or a device such as /dev/stdout is appended to.

    A context manager.

    Raises:
        InputError: the path is a folder.
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = None if str(path) == "-" else Path(path)
        self.lines = 0
        """Written so far."""
        self._file: FileIO | None = None
        if self.path is not None:
            if self.path.is_dir():
                raise InputError(f"{self.path} is a folder, expected a file to write JSON Lines to, or - for stdout")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # /dev/stdout may be a file that others have written to
            mode = "a" if is_pipe_or_device(self.path) else "w"
            self._file = FileIO(self.path, mode)  # without a buffer: each line goes out at once, and fails at once
        self._closed = False

    def write(self, result: FramePoses) -> None:
        """Write one frame's line.

        Raises:
            OSError: disk full or the like, with the file's name; the lines before stay as they are.
            InputError: a number that is not finite, no FramePoses, or the writer is closed.
        """
        if not isinstance(result, FramePoses):
            raise InputError(
                f"a line of {type(result).__name__}, expected FramePoses, as a PosePipeline gives them: with a frame's "
                "number and time. Poses alone are text by their to_json()"
            )
        if self._closed:
            raise InputError(f"{self.path or 'stdout'}: this writer is closed; make a new one")
        try:
            line = json.dumps(result.to_dict(), allow_nan=False, separators=(",", ":"))
        except ValueError as error:
            raise InputError(f"frame {result.frame.index}: JSON has no NaN or infinity ({error})") from error
        if self._file is None:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        else:
            self._append(self._file, line.encode() + b"\n")
        self.lines += 1

    def _append(self, file: FileIO, line: bytes) -> None:
        rest, end = memoryview(line), os.fstat(file.fileno()).st_size
        try:
            while rest:
                rest = rest[file.write(rest) or 0 :]  # a full disk takes a part first, and fails at the next
        except BaseException as error:  # Ctrl-C as well
            with suppress(OSError):  # /dev/full and pipes cannot be cut
                file.seek(end)
                file.truncate()
            if isinstance(error, OSError):
                raise OSError(error.errno, os.strerror(error.errno or 0), str(self.path)) from error
            raise

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._closed = True
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
