"""Weights of a TFLite graph stored in fewer bits, by LiteRT's quantizer; activations stay float32."""

from __future__ import annotations

from ai_edge_quantizer import quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import TFLOperationName


def with_half_weights(model: bytes) -> bytes:
    """float16 weights; runtimes turn them into float32 as they load."""
    recipe = recipe_manager.RecipeManager()
    for operation in (TFLOperationName.CONV_2D, TFLOperationName.DEPTHWISE_CONV_2D):
        recipe.add_weight_only_config(".*", operation, num_bits=16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    return _stored(model, recipe)


def with_int8_weights(model: bytes) -> bytes:
    """int8 weights with a scale for each output channel: dynamic range, which needs no calibration data.

    Depthwise convolutions stay in float32. One value or 25 for a scale of its own save nothing, and
    their input, whose channels differ by far in their range, would be rounded by one scale.
    """
    recipe = recipe_manager.RecipeManager()
    recipe.add_dynamic_config(".*", TFLOperationName.CONV_2D, num_bits=8)
    return _stored(model, recipe)


def _stored(model: bytes, recipe: recipe_manager.RecipeManager) -> bytes:
    worker = quantizer.Quantizer(bytearray(model), recipe.get_quantization_recipe())
    stored = worker.quantize(enable_progress_bar=False, enable_progress_report=False).quantized_model
    assert stored is not None
    return bytes(stored)
