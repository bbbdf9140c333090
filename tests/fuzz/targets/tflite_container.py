"""A .tflite file as danet itself reads it: the flatbuffer's frame, the appended archive, checksum and spec."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib

from danet.backends.base import read_spec
from danet.model_spec import SPEC_KEY, ModelSpec
from danet.tflite_file import CHECKSUM_KEY, flatbuffer_checksum, read_tflite, with_spec
from tests.fuzz.reading import as_file

WORDS = (
    b"TFL3",
    b"PK\1\2",
    b"PK\3\4",
    b"PK\5\6",
    b"PK\6\6",
    b"PK\6\7",
    SPEC_KEY.encode(),
    CHECKSUM_KEY.encode(),
    b"\xff" * 4,
)
_SPEC = ModelSpec("tiny")
_FLATBUFFER = bytes.fromhex(
    "1800000054464c3300000e00100000000c000800000004000e0000000c0000001000000014000000010000006c00000001000000"
    "20000000010000000800000004000400040000000c000c0008000000000004000c000000080000000c0000000100000014000000"
    "01000000140000000800080000000400080000000c000000eeffffff040000000400000001000000000006000800040006000000"
    "040000001000000078787878787878787878787878787878"
)
"""The least model: a root with one operator code, a subgraph of a tensor and an operator, and a buffer of 16 bytes."""


def _zipped(model: bytes, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO(model)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a", method) as archive:
        warnings.simplefilter("ignore")  # of two entries of a name
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def seeds() -> dict[str, bytes]:
    """A model alone, with its spec, and with odd archives behind it."""
    model = _FLATBUFFER
    spec = _SPEC.to_json().encode()
    whole = with_spec(model, _SPEC)
    many = {f"{number}.txt": b"" for number in range(70)}
    return {
        "alone": model,
        "with-spec": whole,
        "no-checksum": _zipped(model, {SPEC_KEY: spec}),
        "wrong-checksum": _zipped(model, {SPEC_KEY: spec, CHECKSUM_KEY: b"0" * 64}),
        "bomb": _zipped(model, {SPEC_KEY: bytes(2_000_000)}, zipfile.ZIP_DEFLATED),
        "many": _zipped(model, many),
        "paths": _zipped(model, {"../../etc/passwd": b"x", "/etc/passwd": b"x", SPEC_KEY: spec}),
        "bzip2": _zipped(model, {SPEC_KEY: spec}, zipfile.ZIP_BZIP2),
        "lzma": _zipped(model, {SPEC_KEY: spec}, zipfile.ZIP_LZMA),
        "encrypted": whole.replace(b"PK\1\2\x14\x03\x14\0\0\0", b"PK\1\2\x14\x03\x14\0\1\0"),
        "method": whole.replace(b"PK\1\2\x14\x03\x14\0\0\0\0\0", b"PK\1\2\x14\x03\x14\0\0\0\x63\0"),
        "cut": whole[:-9],
        "not-utf-8": _zipped(model, {SPEC_KEY: b"\xff\xff"}),
        "spec-checksum-of-zip": _zipped(model, {CHECKSUM_KEY: flatbuffer_checksum(model).encode()}),
        "twice": _zipped(_zipped(model, {SPEC_KEY: spec}), {SPEC_KEY: b"{}"}),
        "archive-alone": _zipped(b"", {SPEC_KEY: spec}),
        "zlib": model + zlib.compress(spec),
    }


def run(data: bytes) -> None:
    """Read; what is read takes a spec and is read again with it."""
    path = as_file(data, ".tflite")
    file = read_tflite(path)
    if file.spec_text is not None:
        read_spec(file.spec_text, path)
    assert file.content == data
    again = read_tflite(as_file(with_spec(file.content, _SPEC), ".tflite"))
    assert again.spec_text == _SPEC.to_json()
