"""Whether a video file is all there: a recording that was cut off says in its own headers how long it should be."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BOXES = frozenset(b"ftyp styp moov moof mdat mfra sidx free skip wide uuid meta emsg prft pdin".split())
"""Boxes at the top level of MP4 and MOV files (ISO/IEC 14496-12); behind any other the file is damaged."""
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""Elements that a Matroska or WebM file (RFC 8794, RFC 9559) begins with."""

PLAYLISTS = (".m3u8", ".m3u", ".ffconcat", ".mpd", ".sdp")
"""Suffixes of files that FFmpeg takes for lists of other files, addresses or streams."""
_PLAYLIST_BEGINNINGS = tuple(b"#EXTM3U ffconcat <?xml <MPD <SMIL <smil v=0 [playlist] RTSPtext".split())


def is_playlist(path: Path) -> bool:
    """Whether a file, whatever its suffix, begins like a playlist or a session description.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_PLAYLIST_BEGINNINGS)


def missing_part(path: Path) -> str | None:
    """What a cut-off MP4, MOV, AVI, Matroska or WebM file lacks, as a phrase; None where nothing is known.

    The stated frame count is no such sign: a trimmed MP4 hides frames, and Matroska has no count.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] == b"ftyp":
            return _missing_in_mp4(file, size)
        end = None
        if head[:4] == b"RIFF":
            end = _riff_end(file, size)
        elif head[:4] == EBML:
            end = _matroska_end(file)
    return _missing_bytes(size, end)


def _missing_bytes(size: int, end: int | None) -> str | None:
    return f"its last {end - size} bytes are missing" if end is not None and end > size else None


def _missing_in_mp4(file: BinaryIO, size: int) -> str | None:
    boxes = list(_boxes(file, size))
    kinds = {kind for kind, _ in boxes}
    if not kinds <= BOXES:
        return None
    if b"moov" not in kinds:
        return "its index (the moov box) is missing, as in a recording that was cut off before it was closed"
    return _missing_bytes(size, boxes[-1][1])


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """The type and end of each top-level box."""
    start = 0
    while start + 16 <= size:
        file.seek(start)
        length, kind, long_length = struct.unpack(">I4sQ", file.read(16))
        if length == 1:
            length = long_length
        end = start + length if length >= 8 else size  # 0: up to the end
        yield kind, end
        start = end


def _riff_end(file: BinaryIO, size: int) -> int | None:
    """Where the last RIFF chunk should end (files above 1 GB have several); None: never closed, so no size is there."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or length in (0, 0x7FFFFFFF, 0xFFFFFFFF):  # what writers put there until they close it
            break
        start += 8 + length + length % 2
    return start or None


def _matroska_end(file: BinaryIO) -> int | None:
    """Where the segment should end; None where it was never closed or is a live recording."""
    file.seek(4)
    header = _length(file)
    if header is None:
        return None
    file.seek(header, 1)
    if file.read(4) != SEGMENT:
        return None
    length = _length(file)
    return None if length is None else file.tell() + length


def _length(file: BinaryIO) -> int | None:
    """An EBML element's length; None for the reserved value "unknown"."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big") & ((1 << 7 * (more + 1)) - 1)
    return None if value == (1 << 7 * (more + 1)) - 1 else value
