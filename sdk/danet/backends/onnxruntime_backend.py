"""ONNX Runtime: ONNX files on any CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import EXPECTED_INPUT, BackendOptions, LoadedModel, read_spec
from danet.cpu import limited_cores, usable_cores
from danet.errors import BackendError, MissingExtraError, ModelFileError, why_broken
from danet.model_files import files_state
from danet.model_spec import SPEC_KEY
from danet.printable import reason
from danet.utf8_name import utf8_name

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
except ImportError as missing:
    raise MissingExtraError(
        "the onnxruntime backend", "onnxruntime", "onnxruntime", why_broken(missing, "onnxruntime")
    ) from missing

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxRuntimeBackend:
    """Sessions of one file; each may be run from several threads, which share its threads.

    Args:
        sessions: one to a call that is made at once, so that no call works with another's threads.
        reopen: makes a session of the same file for so many calls at once; raises as `load`.
        threads: of all calls together.
    """

    share_batch = 1

    def __init__(self, sessions: Sequence[Any], reopen: Callable[[int], Any], threads: int) -> None:
        self._session: Any | None = sessions[0]
        """For calls beyond those at once."""
        self._idle = deque(sessions)
        self._reopen = reopen
        self._threads = threads
        self._input = sessions[0].get_inputs()[0].name
        self._output = sessions[0].get_outputs()[0].name

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, h, w) float32."""
        shared = self._session  # once: another thread may close meanwhile
        if shared is None:
            raise BackendError("onnxruntime: the model is closed; open it again")
        idle = self._idle
        try:
            session = idle.popleft()
        except IndexError:
            return self._run(shared, images)
        try:
            return self._run(session, images)
        finally:
            idle.append(session)

    def _run(self, session: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            heatmaps: NDArray[np.float32] = session.run([self._output], {self._input: images})[0]
        except _LOAD_ERRORS as error:
            raise BackendError(f"onnxruntime: inference failed: {reason(error)}") from error
        return heatmaps

    def side_by_side(self, calls: int) -> OnnxRuntimeBackend:
        """Further sessions, one to a call with its part of the threads; see `SideBySide`.

        Calls of one session would share its threads: of 16 threads four calls would keep 4 + 3 at work. With a thread
        each there is nothing to share.
        """
        if self._session is None:
            raise BackendError("onnxruntime: the model is closed; open it again")
        sessions = calls if self._threads // calls > 1 else 1
        return OnnxRuntimeBackend([self._reopen(calls) for _ in range(sessions)], self._reopen, self._threads)

    def close(self) -> None:
        """Let go of the sessions; a call in progress ends as it would have."""
        self._session = None
        self._idle = deque()


def load(path: Path, options: BackendOptions) -> LoadedModel:
    """Read an ONNX file; see `LoadModel`."""
    try:
        return _loaded(path, options)
    except UnicodeDecodeError as error:  # of a name, a spec or a message that quotes the file
        raise ModelFileError(f"{path}: damaged: it holds text that is not UTF-8; copy or export it again") from error


def _loaded(path: Path, options: BackendOptions) -> LoadedModel:
    if options.device != "CPU":
        raise BackendError(f"onnxruntime: device {options.device!r}, expected 'CPU'")
    if options.precision not in (None, "fp32"):
        raise BackendError(f"onnxruntime: precision {options.precision!r}, expected 'fp32'")
    state = files_state(path)
    session = _open(path, options.threads)

    threads = options.threads or usable_cores()
    whole = path.absolute()  # the program may change its folder meanwhile; a link stays one, and may be replaced

    def reopen(calls: int) -> Any:
        # the name as given where it still does: ONNX Runtime takes no folder above it that is not UTF-8
        place = path if files_state(path) == state else whole
        again = _open(place, max(1, threads // calls))
        if files_state(place) != state:
            raise ModelFileError(f"{path}: replaced since it was opened; open it again")
        return again

    inputs = [(one.type, one.shape) for one in session.get_inputs()]
    kind, shape = inputs[0] if len(inputs) == 1 else ("none", [])
    if kind != "tensor(uint8)" or len(shape) != 4 or shape[3] != 3:
        raise ModelFileError(f"{path}: inputs {inputs}, {EXPECTED_INPUT}")
    if not session.get_outputs():
        raise ModelFileError(f"{path}: no output, expected heatmaps N x K x h x w; export it again")
    text = session.get_modelmeta().custom_metadata_map.get(SPEC_KEY)
    spec = None if text is None else read_spec(text, path)
    fixed = (shape[0],) if isinstance(shape[0], int) else None
    quantized = spec is not None and spec.precision == "int8"
    return LoadedModel(
        OnnxRuntimeBackend([session], reopen, threads), spec, "int8, rest fp32" if quantized else "fp32", fixed
    )


def _open(path: Path, threads: int | None) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # errors only; they are raised as well
    settings.inter_op_num_threads = 1
    # by itself ONNX Runtime takes a thread for each core of the machine, also those that this process may not use
    settings.intra_op_num_threads = threads or limited_cores() or 0
    name = utf8_name(str(path), ModelFileError, library="ONNX Runtime")
    try:
        # without the fallback, which prints on stdout and tries the same once more
        return onnxruntime.InferenceSession(name, settings, providers=["CPUExecutionProvider"], enable_fallback=0)
    except _LOAD_ERRORS as error:
        raise ModelFileError(f"{path}: ONNX Runtime cannot read it ({reason(error)})") from error
