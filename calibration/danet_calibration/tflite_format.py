"""TFLite as the quantizer takes and gives it: static INT8 by LiteRT's own quantizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danet.errors import MissingExtraError
from danet.model_spec import ModelSpec
from danet.tflite_file import read_tflite, with_spec
from danet_calibration.graph import Operation
from danet_calibration.nncf_ptq import Calibration
from danet_calibration.roles import Placed
from danet_calibration.strategy import Strategy


def read_float_tflite(path: Path) -> bytes:
    """A float .tflite file, whole; raises as `danet.tflite_file.read_tflite`."""
    return read_tflite(path).content


def no_operations(_: bytes) -> list[Operation]:
    """LiteRT's quantizer is told of no operations: it has one strategy."""
    return []


def quantize_statically(
    model: bytes, operations: Sequence[Placed], strategy: Strategy, calibration: Calibration, key: str, input_name: str
) -> bytes:
    """A statically quantized flatbuffer of a float one; all but model and crops is NNCF's and not looked at.

    Raises:
        MissingExtraError: LiteRT's quantizer is not installed.
    """
    del operations, strategy, key, input_name
    try:
        from danet_calibration.tflite_int8 import quantize_tflite
    except ModuleNotFoundError as error:
        raise MissingExtraError("INT8 TFLite", "convert-tflite", error.name or "ai-edge-quantizer") from error
    return quantize_tflite(model, _counted(calibration))


def _counted(calibration: Calibration) -> Iterator[NDArray[np.uint8]]:
    done = calibration.watch.task("calibration", len(calibration.crops))
    for crop in calibration.crops.batches():
        yield crop
        done(1)


def write_quantized_tflite(model: bytes, spec: ModelSpec, path: Path) -> None:
    """Write a quantized flatbuffer with its spec."""
    path.write_bytes(with_spec(model, spec))
