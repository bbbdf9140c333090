"""TFLite: .tflite files on phones, boards and PCs, by LiteRT or the older tflite-runtime.

Both run the graph in XNNPACK on the CPU. Who has another accelerator opens the file with its delegate
and hands the backend to the estimator:

    backend = open_tflite("danet72-int8.tflite", delegates=[Delegate("libedgetpu.so.1")])
    estimator = PoseEstimator("danet72-int8.tflite", backend=backend, spec=backend.spec, batch_size=1)
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import BackendOptions, LoadedModel, read_spec
from danet.backends.request_pools import RequestPools
from danet.cpu import read_cpu
from danet.errors import BackendError, MissingExtraError, ModelFileError, why_broken
from danet.model_spec import ModelSpec
from danet.printable import reason
from danet.tflite_file import TfliteFile, read_tflite

try:
    from ai_edge_litert.interpreter import Interpreter, load_delegate
except ImportError as litert:
    try:
        from tflite_runtime.interpreter import Interpreter, load_delegate
    except (ImportError, AttributeError) as missing:  # 2.14 under NumPy 2 ends in an AttributeError
        raise MissingExtraError(
            "the tflite backend", "tflite", "ai-edge-litert", why_broken(litert, "ai_edge_litert")
        ) from missing

_ERRORS = (RuntimeError, ValueError, TypeError)
"""What both interpreters raise."""


@dataclass(frozen=True)
class Delegate:
    """An accelerator's library, loaded anew for each interpreter."""

    library: str
    """Name or path of the shared library, such as "libedgetpu.so.1"."""
    options: Mapping[str, str] = field(default_factory=dict)
    """As the library documents them."""


class TfliteBackend:
    """One .tflite file, with interpreters for each batch size, made on first use.

    An interpreter serves one call at a time, so there are as many to a batch size as streams; each
    has its share of the threads.

    Args:
        file: the file's content.
        spec: as the file states it.
        build: makes an interpreter of the content.
        streams: calls that are worked on side by side.
    """

    def __init__(self, file: TfliteFile, spec: ModelSpec | None, build: Callable[[bytes], Any], streams: int) -> None:
        self.spec = spec
        self._content = file.content
        self._build = build
        self._streams = streams
        self._pools: RequestPools[int, Any] = RequestPools(self._sized, "tflite")
        first = build(file.content)
        images, heatmaps = _only(first.get_input_details()), _only(first.get_output_details())
        self._shape = tuple(int(side) for side in images["shape"])
        if len(self._shape) != 4 or self._shape[3] != 3 or images["dtype"] != np.uint8 or len(heatmaps["shape"]) != 4:
            raise ModelFileError(
                f"input {np.dtype(images['dtype']).name} {self._shape}, output of shape {tuple(heatmaps['shape'])}; "
                "expected one uint8 N x H x W x 3 and one N x h x w x K"
            )
        if np.issubdtype(heatmaps["dtype"], np.integer) and not heatmaps["quantization"][0]:
            raise ModelFileError(
                f"heatmaps {np.dtype(heatmaps['dtype']).name} without one scale, expected float or quantized by tensor"
            )
        self.batch_sizes = None if images["shape_signature"][0] == -1 else (self._shape[0],)
        """Batch sizes that the file allows; None: any."""
        self.quantized = any(tensor["dtype"] == np.int8 for tensor in first.get_tensor_details())

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, h, w) float32."""
        if images.dtype != np.uint8 or images.shape[1:] != self._shape[1:]:
            raise BackendError(f"tflite: crops {images.dtype} {images.shape}, expected uint8 (N, {self._shape[1:]})")
        with self._pools.lend(len(images)) as interpreter:
            try:
                return _infer(interpreter, images)
            except _ERRORS as error:
                raise BackendError(f"tflite: inference failed: {reason(error)}") from error

    def _sized(self, size: int) -> list[Any]:
        if self.batch_sizes is not None and size not in self.batch_sizes:
            raise BackendError(f"tflite: a batch of {size}, this file takes {self.batch_sizes[0]}; pass batch_size=")
        pool = []
        try:
            for _ in range(self._streams):
                interpreter = self._build(self._content)
                interpreter.resize_tensor_input(
                    _only(interpreter.get_input_details())["index"], (size, *self._shape[1:])
                )
                interpreter.allocate_tensors()
                pool.append(interpreter)
        except _ERRORS as error:
            raise BackendError(f"tflite: cannot prepare batches of {size}: {reason(error)}") from error
        return pool

    def close(self) -> None:
        """Let go of the interpreters; a call in progress ends as it would have, or raises BackendError."""
        self._pools.close()
        self._content = b""


def open_tflite(
    path: str | os.PathLike[str], *, delegates: Sequence[Delegate] = (), threads: int | None = None, streams: int = 1
) -> TfliteBackend:
    """Open a file, with accelerators if there are any; what no delegate takes runs in XNNPACK.

    Args:
        path: a .tflite file.
        delegates: tried in this order.
        threads: in all; as many as the process may use if not given.
        streams: calls of `run` that are worked on side by side, each with its share of the threads.

    Raises:
        ModelFileError: the file is missing, damaged, or no pose network in TFLite's format.
        ModelSpecError: the spec in the file cannot be read.
        BackendError: a delegate cannot be loaded.
    """
    if streams < 1:
        raise BackendError(f"tflite: streams {streams!r}, expected 1 or more")
    place = Path(path)
    file = read_tflite(place)
    spec = None if file.spec_text is None else read_spec(file.spec_text, place)
    each = max(1, (threads or read_cpu().cores) // streams)

    def build(content: bytes) -> Any:
        loaded = [_load(delegate) for delegate in delegates]
        return Interpreter(model_content=content, num_threads=each, experimental_delegates=loaded or None)

    try:
        return TfliteBackend(file, spec, build, streams)
    except ModelFileError as error:
        raise ModelFileError(f"{place}: {error}") from error
    except _ERRORS as error:
        raise ModelFileError(f"{place}: TFLite cannot read it ({reason(error)})") from error


def load(path: Path, options: BackendOptions) -> LoadedModel:
    """Read a .tflite file; see `LoadModel`."""
    if options.device != "CPU":
        raise BackendError(
            f"tflite: device {options.device!r}, expected 'CPU'; for an accelerator pass "
            "backend=danet.backends.tflite_backend.open_tflite(path, delegates=[...])"
        )
    if options.precision not in (None, "fp32"):
        raise BackendError(f"tflite: precision {options.precision!r}, expected 'fp32'")
    backend = open_tflite(path, threads=options.threads, streams=options.streams)
    arithmetic = "int8, rest fp32" if backend.quantized else "fp32"
    return LoadedModel(backend, backend.spec, arithmetic, backend.batch_sizes, options.streams)


def _load(delegate: Delegate) -> Any:
    try:
        ctypes.CDLL(delegate.library)  # else the half-made delegate complains once more when it is collected
        return load_delegate(delegate.library, dict(delegate.options))
    except (OSError, *_ERRORS) as error:
        raise BackendError(f"tflite: delegate {delegate.library}: {reason(error)}") from error


def _infer(interpreter: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run, and turn TFLite's (N, h, w, K), float32 or quantized, into (N, K, h, w) float32."""
    interpreter.set_tensor(_only(interpreter.get_input_details())["index"], images)
    interpreter.invoke()
    output = _only(interpreter.get_output_details())
    heatmaps = np.asarray(interpreter.get_tensor(output["index"])).transpose(0, 3, 1, 2)
    if np.issubdtype(heatmaps.dtype, np.floating):
        return np.ascontiguousarray(heatmaps, np.float32)
    scale, zero = output["quantization"]
    dequantized = (heatmaps.astype(np.float32) - np.float32(zero)) * np.float32(scale)
    return np.ascontiguousarray(dequantized, np.float32)


def _only(details: list[dict[str, Any]]) -> dict[str, Any]:
    if len(details) != 1:
        raise ModelFileError(f"{len(details)} inputs or outputs, expected one of each")
    return details[0]
