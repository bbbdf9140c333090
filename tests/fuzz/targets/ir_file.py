"""An OpenVINO IR with a damaged .xml, through OpenVINO's own reader. The input is a list of edits."""

from __future__ import annotations

from pathlib import Path

from danet.backends.base import BackendOptions
from danet.backends.openvino_backend import load
from tests.fuzz.reading import Bytes, as_file, edited

MAX_LENGTH = 600
WORDS = (
    b'"-1"',
    b'"4294967296"',
    b"<dim>",
    b"</dim>",
    b"offset=",
    b"size=",
    b"&amp;",
    b"<!DOCTYPE",
    b"<layer",
    b"Const",
    b"i64",
)
GOLDEN = Path(__file__).parents[2] / "compatibility" / "golden" / "version-1" / "tiny.xml"
_CONTENT, _WEIGHTS = GOLDEN.read_bytes(), GOLDEN.with_suffix(".bin").read_bytes()


def seeds() -> dict[str, bytes]:
    """The file as it is, one edit of each kind at several places, and many edits."""
    made = {
        f"edit-{kind}-{place}": bytes([1, 0, 0, place * 40, 0, 0, kind, 0, 57, 0]) + b"9" * 20
        for kind in range(5)
        for place in range(5)
    }
    return made | {"whole": b"", "many": bytes(range(1, 250))}


def run(data: bytes) -> None:
    """Read; nothing is compiled."""
    as_file(_WEIGHTS, ".bin")
    load(as_file(edited(_CONTENT, Bytes(data)), ".xml"), BackendOptions()).backend.close()
