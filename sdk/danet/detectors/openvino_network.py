"""Detector networks in OpenVINO: IR and ONNX files."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from danet.cpu import cores_by_quota
from danet.detectors.network import Network, NetworkFacts, TensorFacts, refuse_in_child
from danet.errors import DetectorError
from danet.forked import keep_in_children
from danet.model_spec import SPEC_KEY
from danet.openvino_core import openvino_core
from danet.printable import last_line


class OpenVinoNetwork:
    """One compiled model with as many requests as threads that call it at once."""

    def __init__(self, model: Any, threads: int | None) -> None:
        self.facts = NetworkFacts(
            tuple(_tensor(one) for one in model.inputs),
            tuple(_tensor(one) for one in model.outputs),
            _metadata(model),
        )
        config: dict[str, Any] = {
            # Held at float32: on CPUs with AMX or AVX512-BF16 OpenVINO would choose bfloat16 by itself.
            "INFERENCE_PRECISION_HINT": ov.Type.f32,
            "PERFORMANCE_HINT": "LATENCY",
            # Pinned, all detectors and estimators of a process that have fewer threads than cores work on the same
            # first cores (docs/performance.md).
            "ENABLE_CPU_PINNING": False,
        }
        if used := threads or cores_by_quota():  # which OpenVINO does not see
            config["INFERENCE_NUM_THREADS"] = used
        self._compiled = openvino_core().compile_model(model, "CPU", config)
        self._idle: deque[Any] = deque()
        self._opened = self._compiled, self._idle
        self._process = os.getpid()
        keep_in_children(self)

    def run(self, blob: NDArray[Any]) -> list[NDArray[Any]]:
        """See `Network`."""
        refuse_in_child(self._process)
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            request.infer({0: blob}, share_inputs=True)
            return [np.array(tensor.data) for tensor in request.output_tensors]
        except RuntimeError as error:
            raise DetectorError(f"OpenVINO failed on an input of {blob.shape} ({last_line(error)})") from error
        finally:
            self._idle.append(request)


def load(path: Path, threads: int | None) -> Network:
    """Open an IR or ONNX file; see `OpenNetwork`."""
    try:
        return OpenVinoNetwork(openvino_core().read_model(path), threads)
    except (RuntimeError, UnicodeDecodeError) as error:  # the second where a message quotes a damaged file
        hint = "; an IR needs its whole .bin beside it" if path.suffix.lower() == ".xml" else ""
        raise DetectorError(f"{path}: OpenVINO cannot read it ({last_line(error)}){hint}") from error


def _tensor(port: Any) -> TensorFacts:
    shape = port.partial_shape
    sides = None
    if shape.rank.is_static:
        sides = tuple(side.get_length() if side.is_static else None for side in shape)
    name = port.get_any_name() if port.get_names() else ""
    return TensorFacts(name, sides, np.dtype(port.element_type.to_dtype()))


def _metadata(model: Any) -> dict[str, str]:
    """metadata_props, which the ONNX reader keeps under "framework"; Ultralytics' facts are in "model_info"."""
    found: dict[str, str] = {}
    for place in ("framework", "model_info"):
        if model.has_rt_info([place]):
            entries = model.get_rt_info([place]).value
            found |= {key: str(getattr(value, "value", value)) for key, value in entries.items()}
    if model.has_rt_info([SPEC_KEY]):
        found[SPEC_KEY] = model.get_rt_info([SPEC_KEY]).astype(str)
    return found
