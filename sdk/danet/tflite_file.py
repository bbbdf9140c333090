"""What a .tflite file is, told before any interpreter looks at it: a whole flatbuffer, and its ModelSpec.

TFLite's interpreters trust their input: a cut or damaged flatbuffer ends the process instead of raising.
So the frame of the file is checked here, and files that carry a ModelSpec carry a checksum as well.
The spec is an "associated file" as TFLite Metadata has it: an entry of a zip archive that is appended
to the flatbuffer, where `unzip` and Android's tools find it. Nothing is ever unpacked to a path.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from danet.bounded_file import read_at_most
from danet.errors import ModelFileError, ModelSpecError
from danet.model_spec import MAX_SPEC_BYTES, SPEC_KEY, ModelSpec

CHECKSUM_KEY = "danet.sha256"
"""Name of the associated file that holds the SHA-256 of the flatbuffer, in hexadecimal digits."""
IDENTIFIER = b"TFL3"
MAX_TFLITE_BYTES = 1 << 30
"""A flatbuffer may have 2**31; the largest pose models have a hundred megabytes."""
MAX_ENTRIES = 64
"""Associated files of a model; TFLite Metadata has a handful of label files."""
MAX_TABLES = 1 << 18
"""Tables that are looked at: offsets may point to one table many times over, so that a megabyte asks for 10**10."""
_ENTRY = b"PK\x01\x02"
"""Beginning of each entry in the directory of a zip archive."""
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)
_MODEL_VECTORS = {1: "operator codes", 2: "subgraphs", 4: "buffers"}
"""Fields of the root table that hold a vector of offsets; the schema's order."""


@dataclass(frozen=True)
class TfliteFile:
    """A .tflite file that was read whole."""

    content: bytes
    """All of the file."""
    spec_text: str | None
    """The ModelSpec's JSON; None where the file carries none."""


def read_tflite(path: Path) -> TfliteFile:
    """Read a file and check its frame.

    Raises:
        ModelFileError: no TFLite flatbuffer, cut, or not what its checksum says.
        ModelSpecError: associated files that cannot be read.
    """
    try:
        content = read_at_most(path, MAX_TFLITE_BYTES)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MAX_TFLITE_BYTES:
        raise ModelFileError(f"{path}: more than {MAX_TFLITE_BYTES} bytes, no pose model")
    if content[4:8] != IDENTIFIER:
        raise ModelFileError(f"{path}: not a TFLite file (no {IDENTIFIER.decode()} at its start); export it again")
    entries = _associated_files(content, path)
    checksum = entries.get(CHECKSUM_KEY)
    if checksum is not None and checksum.strip() != flatbuffer_checksum(content[: _zip_start(content)]):
        raise ModelFileError(f"{path}: damaged: its content is not what its checksum says; copy or export it again")
    if not _is_framed(content) or (not entries and SPEC_KEY.encode() in content):
        raise ModelFileError(f"{path}: damaged or cut: parts that it points to are missing; copy or export it again")
    return TfliteFile(content, entries.get(SPEC_KEY))


def with_spec(flatbuffer: bytes, spec: ModelSpec) -> bytes:
    """A TFLite flatbuffer with the spec and its own checksum as associated files.

    Args:
        flatbuffer: a model without associated files, or with some: those are left out.
        spec: of the model.
    """
    model = flatbuffer[: _zip_start(flatbuffer)]
    written = io.BytesIO(model)
    with zipfile.ZipFile(written, "a") as archive:
        for name, text in ((SPEC_KEY, spec.to_json()), (CHECKSUM_KEY, flatbuffer_checksum(model))):
            archive.writestr(zipfile.ZipInfo(name), text)  # a fixed date: the same model is the same file
    return written.getvalue()


def flatbuffer_checksum(flatbuffer: bytes) -> str:
    """As the file under `CHECKSUM_KEY` holds it."""
    return hashlib.sha256(flatbuffer).hexdigest()


def _associated_files(content: bytes, path: Path) -> dict[str, str]:
    """The entries of the appended archive that danet reads, as text; empty where there is no archive."""
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):  # which raises for an archive that says it spans several disks
            return {}
        if content.count(_ENTRY) > MAX_ENTRIES:  # told before zipfile makes an object of each
            raise ModelSpecError(f"{path}: more than {MAX_ENTRIES} associated files; export it again")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
            return {name: _text(archive, name) for name in (SPEC_KEY, CHECKSUM_KEY) if name in names}
    except _ZIP_ERRORS as error:
        raise ModelSpecError(
            f"{path}: its associated files cannot be read ({str(error)[:200]}); export it again"
        ) from error


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """At most one byte more than a spec may have is unpacked, whatever the entry says of its size."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed by another method than deflate")  # LZMA takes gigabytes at its word
    with archive.open(name) as entry:
        data = entry.read(MAX_SPEC_BYTES + 1)
    if len(data) > MAX_SPEC_BYTES:
        raise ValueError(f"{name} is longer than {MAX_SPEC_BYTES} bytes")
    return data.decode("utf-8")


def _zip_start(content: bytes) -> int:
    """Where the appended archive begins; the length of the content where there is none."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return len(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return min((entry.header_offset for entry in archive.infolist()), default=len(content))


def _is_framed(content: bytes) -> bool:
    """Whether the root table, its tables and all weights lie inside the content."""
    try:
        root = _follow(content, 0)
        tables = {field: _tables(content, root, field) for field in _MODEL_VECTORS}
        if not tables[2]:
            return False
        left = MAX_TABLES
        for subgraph in tables[2]:
            for field in (0, 3):  # tensors and operators
                left -= _vector(content, subgraph, field, 4)[1] + 1
                if left < 0:
                    return False
                for table in _tables(content, subgraph, field):
                    _field(content, table, 0)
        for buffer in tables[4]:
            _vector(content, buffer, 0, 1)
    except (struct.error, IndexError):
        return False
    return True


def _follow(content: bytes, place: int) -> int:
    """The place that the offset at `place` points to."""
    target = place + int(struct.unpack_from("<I", content, place)[0])
    if target + 4 > len(content):
        raise IndexError(target)
    return target


def _field(content: bytes, table: int, number: int) -> int | None:
    """The place of a field of a table; None where it is absent."""
    vtable = table - int(struct.unpack_from("<i", content, table)[0])
    if vtable < 0:
        raise IndexError(vtable)
    size = int(struct.unpack_from("<H", content, vtable)[0])
    if 4 + 2 * number >= size:
        return None
    offset = int(struct.unpack_from("<H", content, vtable + 4 + 2 * number)[0])
    return table + offset if offset else None


def _vector(content: bytes, table: int, number: int, item_bytes: int) -> tuple[int, int]:
    """First place and length of a vector field; (0, 0) where it is absent."""
    place = _field(content, table, number)
    if place is None:
        return 0, 0
    start = _follow(content, place)
    count = int(struct.unpack_from("<I", content, start)[0])
    if start + 4 + count * item_bytes > len(content):
        raise IndexError(start)
    return start + 4, count


def _tables(content: bytes, table: int, number: int) -> list[int]:
    start, count = _vector(content, table, number, 4)
    return [_follow(content, start + 4 * index) for index in range(count)]
