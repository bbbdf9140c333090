"""OpenVINO: IR (and ONNX) files on Intel and Arm CPUs."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from danet.backends.base import EXPECTED_INPUT, BackendOptions, LoadedModel, read_spec
from danet.backends.compiled_store import CompiledStore, open_store
from danet.backends.heap_trim import trim_heap
from danet.backends.request_pools import RequestPools
from danet.cpu import cores_by_quota
from danet.errors import BackendError, ModelFileError
from danet.ir_file import check_seal
from danet.model_files import files_state
from danet.model_spec import SPEC_KEY, ModelSpec
from danet.openvino_core import openvino_core
from danet.printable import last_line
from danet.utf8_name import utf8_name

WAITING_REQUESTS = 1
"""Requests to a batch size beyond its streams: those run while another is filled or read."""
_MAPS, _CELLS = "NCHW", "NHWC"
_WITHOUT_TOKENIZER = {"SNIPPETS_MODE": "DISABLE"}
MOST_DIFFERENT = 0.05
"""Of the heatmaps' square. INT8 graphs that are right differ by 0.015 at most, since values round otherwise; wrong ones
by 0.39 and more (docs/performance.md)."""
_HINTS = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16}


@lru_cache(maxsize=1)
def _can_leave_tokenizer() -> bool:
    """Whether this OpenVINO takes `_WITHOUT_TOKENIZER`, which is in no documentation."""
    core = ov.Core()  # that nobody else has
    try:
        core.set_property("CPU", _WITHOUT_TOKENIZER)
        core.get_property("CPU", "FULL_DEVICE_NAME")  # properties are looked at when the first thing is asked
    except RuntimeError:
        return False
    return True


class OpenVinoBackend:
    """One IR, compiled once for each batch size that is asked for, on first use.

    Static shapes keep OpenVINO's memory flat. The compiled models are planned for latency: with one
    stream, one request uses the whole thread budget and a second is prepared meanwhile.

    Args:
        model: the graph.
        options: for all calls.
        store: where compiled graphs are kept for the next start of the program; None: nowhere.
        share_batch: see `SideBySide`.
    """

    def __init__(
        self, model: Any, options: BackendOptions, store: CompiledStore | None = None, share_batch: int = 2
    ) -> None:
        self.share_batch = share_batch
        self._model = model
        self._options = options
        self._store = store
        self._device = options.device
        self._config = _configuration(options)
        self._in_cells = _gives_maps(model)
        self._requests = options.streams + WAITING_REQUESTS
        self._pools: RequestPools[tuple[int, ...], Any] = RequestPools(self._compile, "openvino")

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, h, w) float32."""
        with self._pools.lend(images.shape) as request:
            try:
                request.infer({0: images}, share_inputs=True)
                answer = request.get_output_tensor(0).data
                maps = np.moveaxis(answer, -1, 1) if self._in_cells else answer
                heatmaps: NDArray[np.float32] = maps.astype(np.float32, order="C", copy=True)
            except RuntimeError as error:
                raise BackendError(f"openvino: inference failed: {last_line(error)}") from error
        return heatmaps

    def side_by_side(self, calls: int) -> OpenVinoBackend:
        """The same graph with so many streams; see `SideBySide`."""
        model = self._model  # once: another thread may close meanwhile
        if model is None:
            raise BackendError("openvino: the model is closed; open it again")
        return OpenVinoBackend(model, replace(self._options, streams=calls), self._store, self.share_batch)

    def _compile(self, shape: tuple[int, ...]) -> list[Any]:
        model = self._model
        if model is None:
            raise BackendError("openvino: the model is closed; open it again")
        try:
            compiled = self._compiled(model, shape)
            return [compiled.create_infer_request() for _ in range(self._requests)]
        except RuntimeError as error:
            raise BackendError(f"openvino: cannot compile for crops {shape}: {last_line(error)}") from error
        finally:
            trim_heap()

    def _compiled(self, model: Any, shape: tuple[int, ...]) -> Any:
        kept = self._store and self._store.load(openvino_core(), shape, self._device, self._config)
        if kept is not None:
            return kept
        static = model.clone()
        static.reshape({0: list(shape)})
        compiled = self._proven(_answering_in_cells(static) if self._in_cells else static, shape)
        if self._store is not None:
            self._store.save(compiled, shape, self._device, self._config)
        return compiled

    def _proven(self, model: Any, shape: tuple[int, ...]) -> Any:
        """A compiled graph; one without the tokenizer only if it gives the heatmaps of one with it.

        OpenVINO 2026.4 answers with other heatmaps without it where an INT8 graph keeps its features in float.
        """
        light = self._config.items() >= _WITHOUT_TOKENIZER.items()
        compiled = openvino_core().compile_model(model, self._device, self._config)
        if not light:
            return compiled
        usual = {key: value for key, value in self._config.items() if key not in _WITHOUT_TOKENIZER}
        other = openvino_core().compile_model(model, self._device, usual | {"NUM_STREAMS": 1})
        if _difference(compiled, other, _picture(shape)) <= MOST_DIFFERENT:
            return compiled
        return openvino_core().compile_model(model, self._device, usual)

    def close(self) -> None:
        """Let go of the compiled models; a call in progress ends as it would have, or raises BackendError."""
        self._pools.close()
        self._model = None


def _picture(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Crops of a shape (N, H, W, 3) with soft forms in them, each its own, the same every time."""
    forms = np.random.default_rng(0).integers(0, 256, (shape[0], 12, 9, 3), np.uint8)
    return np.stack([cv2.resize(one, (shape[2], shape[1]), interpolation=cv2.INTER_CUBIC) for one in forms])


def _difference(compiled: Any, other: Any, crops: NDArray[np.uint8]) -> float:
    """The squared difference of two graphs' answers, over the square of the second's."""
    found, expected = (one.create_infer_request().infer({0: crops})[0].astype(np.float64) for one in (compiled, other))
    difference, square = float(np.square(found - expected).sum()), float(np.square(expected).sum())
    return difference / square if square else difference


def _gives_maps(model: Any) -> bool:
    """Whether the graph's answer has four axes, (N, K, h, w); of what else files hold the estimator tells."""
    rank = model.output(0).partial_shape.rank
    return bool(rank.is_static and rank.get_length() == len(_MAPS))


def _answering_in_cells(model: Any) -> Any:
    """The graph with its heatmaps as the last convolution writes them, (N, h, w, K).

    OpenVINO's own way to (N, K, h, w) takes five times as long as NumPy's (docs/performance.md).
    """
    answer = ov.preprocess.PrePostProcessor(model)
    answer.output(0).model().set_layout(ov.Layout(_MAPS))
    answer.output(0).tensor().set_layout(ov.Layout(_CELLS))
    return answer.build()


def load(path: Path, options: BackendOptions) -> LoadedModel:
    """Read an IR or ONNX file; see `LoadModel`."""
    try:
        return _loaded(path, options)
    except UnicodeDecodeError as error:  # of a name, a spec or a message that quotes the file
        raise ModelFileError(f"{path}: damaged: it holds text that is not UTF-8; copy or export it again") from error


def _loaded(path: Path, options: BackendOptions) -> LoadedModel:
    state = files_state(path)
    if path.suffix.lower() == ".onnx":  # of an IR it takes any name
        utf8_name(str(path), ModelFileError, library="OpenVINO")
    try:
        model = openvino_core().read_model(path)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path}: OpenVINO cannot read it ({last_line(error)}); an IR needs its whole .xml and .bin beside it"
        ) from error
    if path.suffix.lower() == ".xml":
        check_seal(path)  # after the reading: files that are replaced meanwhile are noticed
    if not _takes_pixels(model):
        given = [f"{one.element_type.get_type_name()} {one.partial_shape}" for one in model.inputs]
        raise ModelFileError(f"{path}: inputs {given}, {EXPECTED_INPUT}")
    shape = model.input(0).partial_shape
    # not for ONNX, whose weights may lie in files that nobody hashes, nor for devices whose drivers no name tells apart
    kept = options.keep_compiled and path.suffix.lower() == ".xml" and options.device == "CPU"
    quantized = any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())
    # what each layer costs besides its arithmetic is more of the shorter time in INT8, most of all with VNNI
    share_batch = 5 if quantized else 2
    backend = OpenVinoBackend(model, options, open_store(path, state) if kept else None, share_batch)
    fixed = (shape[0].get_length(),) if shape[0].is_static else None
    rest = options.precision or "fp32"
    arithmetic = f"int8, rest {rest}" if quantized else rest
    return LoadedModel(backend, _spec(model, path), arithmetic, fixed, options.streams)


def _takes_pixels(model: Any) -> bool:
    """Whether uint8 pixels are asked for: OpenVINO would cast them to anything else, and nobody normalise them."""
    if len(model.inputs) != 1 or model.input(0).element_type != ov.Type.u8:
        return False
    shape = model.input(0).partial_shape
    return bool(shape.rank.is_static and len(shape) == 4 and shape[3].is_static and len(shape[3]) == 3)


def _spec(model: Any, path: Path) -> ModelSpec | None:
    # the ONNX reader keeps metadata_props under "framework"
    for place in ([SPEC_KEY], ["framework", SPEC_KEY]):
        if model.has_rt_info(place):
            return read_spec(model.get_rt_info(place).astype(str), path)
    return None


def _configuration(options: BackendOptions) -> dict[str, Any]:
    precision = _HINTS.get(options.precision or "fp32")
    if precision is None:
        raise BackendError(
            f"openvino: precision {options.precision!r} cannot be asked for at run time, expected "
            f"{', '.join(_HINTS)}; an int8 model is made by danet quantize"
        )
    try:
        offered = openvino_core().get_property(options.device, "OPTIMIZATION_CAPABILITIES")
    except RuntimeError as error:
        hint = "" if options.device == "CPU" else "; 'CPU' is always there"
        raise BackendError(f"openvino: device {options.device!r}: {last_line(error)}{hint}") from error
    if options.precision and options.precision.upper() not in offered:
        raise BackendError(
            f"openvino: {options.device} has no {options.precision} arithmetic, it offers {', '.join(offered)}; "
            "leave precision out for fp32"
        )
    # Pinned: on CPUs with AMX or AVX512-BF16 OpenVINO would run "FP32" files in bfloat16 by itself.
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": options.streams,
    }
    if options.device == "CPU":
        # Pinned, all estimators of a process that have fewer threads than cores work on the same first cores.
        config["ENABLE_CPU_PINNING"] = False
        # The graph is held once to a stream. OpenVINO's tokenizer of element-wise operations takes half of its memory
        # and gives 3 % of the speed to shares, 9 % to one person (docs/performance.md).
        if options.streams > 1 and _can_leave_tokenizer():
            config |= _WITHOUT_TOKENIZER
    # OpenVINO sees which cores the process may use, but not how much of their time
    threads = options.threads or (cores_by_quota() if options.device == "CPU" else None)
    if threads is not None and not options.device.startswith(("GPU", "NPU")):  # which have no threads of the CPU's
        config["INFERENCE_NUM_THREADS"] = threads
    return config
