"""A damaged ONNX model, through ONNX Runtime. The input is a list of edits."""

from __future__ import annotations

from danet.backends.base import BackendOptions
from danet.backends.onnxruntime_backend import load
from tests.fuzz.reading import Bytes, as_file, edited
from tests.fuzz.targets import ir_file

MAX_LENGTH = 600
WORDS = (
    b"Conv",
    b"Reshape",
    b"images",
    b"heatmaps",
    b"\xff\xff\xff\xff\x0f",
    b"\xff" * 9 + b"\1",
    b"\x0a",
    b"\x12",
    b"Loop",
    b"If",
)
_CONTENT = ir_file.GOLDEN.with_suffix(".onnx").read_bytes()


def seeds() -> dict[str, bytes]:
    """As those of the IR."""
    return ir_file.seeds()


def run(data: bytes) -> None:
    """Read."""
    load(as_file(edited(_CONTENT, Bytes(data)), ".onnx"), BackendOptions(threads=1)).backend.close()
