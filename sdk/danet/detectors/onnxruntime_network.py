"""Detector networks in ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.cpu import limited_cores
from danet.detectors.network import Network, NetworkFacts, TensorFacts, refuse_in_child
from danet.errors import DetectorError, MissingExtraError, why_broken
from danet.forked import keep_in_children
from danet.printable import reason
from danet.utf8_name import utf8_name

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class OnnxRuntimeNetwork:
    """One session; sessions may be run from several threads."""

    def __init__(self, session: Any) -> None:
        self._opened = session
        self.facts = NetworkFacts(
            tuple(_tensor(one) for one in session.get_inputs()),
            tuple(_tensor(one) for one in session.get_outputs()),
            session.get_modelmeta().custom_metadata_map,
        )
        self._process = os.getpid()
        keep_in_children(self)

    def run(self, blob: NDArray[Any]) -> list[NDArray[Any]]:
        """See `Network`."""
        refuse_in_child(self._process)
        try:
            outputs: list[NDArray[Any]] = self._opened.run(None, {self.facts.inputs[0].name: blob})
        except Exception as error:  # its classes share no base but Exception
            raise DetectorError(f"ONNX Runtime failed on an input of {blob.shape} ({reason(error)})") from error
        return outputs


def load(path: Path, threads: int | None) -> Network:
    """Open an ONNX file; see `OpenNetwork`."""
    try:  # on demand, so that this module can be imported where it is absent
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "the detector backend 'onnxruntime'", "onnxruntime", "onnxruntime", why_broken(error, "onnxruntime")
        ) from error
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # errors only; they are raised as well
    settings.inter_op_num_threads = 1
    # Its threads would spin for the next frame and take the cores from the pose model, which runs then.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.intra_op_num_threads = threads or limited_cores() or 0  # as in danet.backends.onnxruntime_backend
    name = utf8_name(str(path), DetectorError, library="ONNX Runtime")
    try:
        # without the fallback, which prints on stdout and tries the same once more
        session = onnxruntime.InferenceSession(name, settings, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # its classes share no base but Exception
        raise DetectorError(f"{path}: ONNX Runtime cannot read it ({reason(error)})") from error
    try:
        return OnnxRuntimeNetwork(session)
    except (TypeError, ValueError) as error:  # sequences, maps and text, which are no arrays
        raise DetectorError(f"{path}: no detector: inputs or outputs that are no arrays ({reason(error)})") from error


def _tensor(argument: Any) -> TensorFacts:
    """Its types read "tensor(float16)"; sizes that are text are names of dynamic dimensions."""
    dtype = np.dtype(_DTYPES.get(argument.type) or argument.type.removeprefix("tensor(").removesuffix(")"))
    shape = tuple(side if isinstance(side, int) else None for side in argument.shape)
    return TensorFacts(argument.name, shape, dtype)
