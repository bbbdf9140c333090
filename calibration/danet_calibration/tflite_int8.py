"""A float .tflite file to full INT8 by LiteRT's quantizer: int8 weights and activations, uint8 crops in."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np
from ai_edge_quantizer import calibrator, quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import TFLOperationName
from numpy.typing import NDArray

from danet.errors import InputError
from danet_converters.tflite_graph import for_any_batch, with_int8_unfolding

BITS = 8
FLOAT_OPERATIONS: tuple[str, ...] = ()
"""Names of TFLite operations that stay in float32."""
_CROPS = "crops"
"""Beside a tensor's range: how many crops it is the mean of."""


def quantize_tflite(
    model: bytes,
    batches: Iterable[NDArray[np.uint8]],
    *,
    float_operations: Sequence[str] = FLOAT_OPERATIONS,
    threads: int = 1,
) -> bytes:
    """Quantize statically: ranges of all activations from calibration crops, weights by output channel.

    Args:
        model: a float32 .tflite file of danet_converters; its ModelSpec is not carried over.
        batches: crops (N, H, W, 3) uint8 BGR, as the network is fed; gone through once, one crop at a
            time, so that a generator is never in memory as a whole.
        float_operations: TFLite operations ("LOGISTIC") to leave in float32.
        threads: for the float model that is calibrated on.

    Returns:
        A .tflite flatbuffer without a spec: uint8 crops in, float32 heatmaps out, any batch.

    Raises:
        InputError: no crop at all, or an unknown operation.
    """
    recipe = _recipe(float_operations)
    ranges = _ranges(model, batches, recipe, threads)
    with _quiet():
        worker = quantizer.Quantizer(bytearray(model), recipe.get_quantization_recipe())
        done = worker.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    assert done.quantized_model is not None
    return for_any_batch(with_int8_unfolding(bytes(done.quantized_model)))


def _recipe(float_operations: Sequence[str]) -> recipe_manager.RecipeManager:
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, BITS, BITS)
    for name in (*float_operations, TFLOperationName.OUTPUT.value):  # the output is float32: heatmaps to decode
        try:
            operation = TFLOperationName(name)
        except ValueError as error:
            known = ", ".join(one.value for one in TFLOperationName)
            raise InputError(f"float operation {name!r}, expected one of {known}") from error
        recipe.add_quantization_config(".*", operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return recipe


def _ranges(
    model: bytes, batches: Iterable[NDArray[np.uint8]], recipe: recipe_manager.RecipeManager, threads: int
) -> dict[str, Any]:
    """Smallest and largest value of every tensor, each the mean over the crops."""
    with _quiet():
        observer = calibrator.Calibrator(model, num_threads=threads, qsv_update_func=_averaged)
    (signature,) = observer.get_signature_list()
    inputs = observer._tfl_interpreter.get_signature_list()[signature]["inputs"]  # calibration data is given by name
    for batch in batches:
        for crop in batch:
            with _quiet():
                observer.calibrate({signature: [{inputs[0]: crop[None]}]}, recipe)
    ranges = observer.get_model_qsvs()
    if not ranges:
        raise InputError("no calibration crops, expected at least one")
    return {name: {end: value for end, value in one.items() if end != _CROPS} for name, one in ranges.items()}


def _averaged(mean: dict[str, Any], crop: dict[str, Any]) -> dict[str, Any]:
    """The mean range of one crop more.

    LiteRT's own `moving_average_update` weighs the last 60 crops by 95 %, whichever these are: photos in front of as
    many rendered persons would count for nothing.
    """
    before = mean.get(_CROPS, 1)
    both = {end: (np.asarray(mean[end], np.float64), crop[end]) for end in ("min", "max")}  # pixels are uint8
    return {_CROPS: before + 1} | {end: old + (new - old) / (before + 1) for end, (old, new) in both.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantizer's own progress bars and warnings; what goes wrong is raised."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
