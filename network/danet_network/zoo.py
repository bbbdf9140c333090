"""Checkpoints of the MegEngine model zoo (`official/vision/keypoints/models/danet.py`), by name and shape.

A zoo file holds a flat dict from parameter name to numpy array, or such a dict under `state_dict`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danet.errors import ModelFileError
from danet.model_spec import DecoderSpec, ModelSpec
from danet_network.config import FAMILY, DANetConfig, danet_config
from danet_network.weights import Mismatch, Shape, compare, expected_shapes, listed, recognise

_STEM = {"fp.head.0": "stem.0", "fp.head.1": "stem.1"}
_LAYER = {
    "cau.att_conv.0": "channel_attention.squeeze.0",
    "cau.att_conv.2": "channel_attention.squeeze.2",
    "cau.att_conv.3": "channel_attention.excite.0",
    "cau.att_conv.5": "channel_attention.excite.2",
    "mau.att_conv.0": "spatial_attention.reduce.0",
    "mau.att_conv.2": "spatial_attention.reduce.2",
    "mau.att_conv.3": "spatial_attention.spread.0",
    "mau.att_conv.5": "spatial_attention.spread.2",
    "body_conv.0": "reduce.0",
    "body_conv.2": "reduce.2",
    "body_conv.3": "expand.0",
    "body_conv.5": "expand.2",
}
_FUSION = {
    "att_conv.0": "reduce.0",
    "att_conv.2": "reduce.2",
    "att_conv.3": "spread.0",
    "att_conv.5": "spread.2",
}
_REGRESSOR = {"0": "mix.0", "2": "mix.2", "3": "regress.0", "5": "regress.2"}
_PREACTIVATED = {"0": "0", "2": "2"}


def preset_spec(config: DANetConfig) -> ModelSpec:
    """How a network of this preset is fed and decoded where its file does not say: as in the preset's tests."""
    if config.preset == "paper":
        return ModelSpec(config.name)
    decoder = DecoderSpec(offsets=(0.35, 0.15, 0.05), heatmap_peak=255.0)
    return ModelSpec(config.name, preset="zoo", box_padding=1.1, decoder=decoder)


def zoo_spec(config: DANetConfig) -> ModelSpec:
    """The spec of a file from the zoo."""
    return replace(preset_spec(config), licence="Apache-2.0 (MegEngine model zoo)", training_data="COCO train2017")


def _under(zoo: str, ours: str, table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((f"{zoo}.{left}", f"{ours}.{right}") for left, right in table.items())


def _modules(config: DANetConfig) -> Iterator[tuple[str, str]]:
    """Each module that holds tensors: its name in the zoo and here."""
    yield from _STEM.items()
    for stage, layers in enumerate(config.layers):
        for layer in range(layers):
            yield from _under(f"fp.body_layer.{stage}.{layer}", f"stages.{stage}.layers.{layer}", _LAYER)
        yield from _under(f"fp.transition_layer.{stage}", f"stages.{stage}.transition", _PREACTIVATED)
    for scale in range(4):
        yield from _under(f"up_convs.{scale}", f"laterals.{scale}", _PREACTIVATED)
        yield from _under(f"out_convs.{scale}", f"regressors.{scale}", _REGRESSOR)
    for scale in range(3):
        yield from _under(f"deconvs.{scale}", f"upsamplers.{scale}", _PREACTIVATED)
        yield from _under(f"sfus.{scale}", f"fusions.{scale}", _FUSION)


@lru_cache(maxsize=8)
def _tensor_names(config: DANetConfig) -> Mapping[str, str]:
    """Each tensor's name in the zoo, and here."""
    zoo_of = {ours: zoo for zoo, ours in _modules(config)}
    split = ((name, *name.rpartition(".")) for name in expected_shapes(config))
    return {f"{zoo_of[module]}.{leaf}": name for name, module, _, leaf in split}


def _plain_shape(found: Shape, expected: Shape | None) -> Shape:
    """`expected` if `found` is a form of it in the zoo's framework, else `found`.

    There, BN tensors and biases are (1, C, 1, 1), or (C,) in older files, and a grouped convolution's
    weight is (groups, out/groups, in/groups, kh, kw).
    """
    form = expected
    if expected is not None and len(expected) == 1:
        form = (1, *expected, 1, 1)
    elif expected is not None and len(expected) == 4 and expected[1] == 1:
        form = (expected[0], 1, *expected[1:])
    return expected if expected is not None and found == form else found


def _mismatch(arrays: Mapping[str, NDArray[np.generic]], config: DANetConfig) -> Mismatch:
    shapes = expected_shapes(config)
    expected = {zoo: shapes[ours] for zoo, ours in _tensor_names(config).items()}
    return compare({name: _plain_shape(array.shape, expected.get(name)) for name, array in arrays.items()}, expected)


def _arrays(content: object) -> Mapping[str, NDArray[np.generic]]:
    values = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(values, dict):
        raise ModelFileError(f"holds a {type(values).__name__}, expected a dict of arrays by parameter name")
    foreign = [str(name) for name, value in values.items() if not isinstance(value, np.ndarray)]
    foreign += [str(name) for name in values if not isinstance(name, str)]
    if foreign:
        raise ModelFileError(f"{len(foreign)} entries are not arrays by parameter name: {listed(foreign)}")
    return values


def convert_zoo(content: object) -> tuple[dict[str, Tensor], DANetConfig]:
    """The tensors of a zoo checkpoint under this project's names, and the family member that they form.

    Args:
        content: what the file's pickle holds: a dict from the zoo's parameter names to arrays, or a
            dict with that dict under `state_dict`.

    Raises:
        ModelFileError: not such a dict, or names or shapes that no member of the family has.
    """
    arrays = _arrays(content)
    mismatches = {config: _mismatch(arrays, config) for config in (danet_config(name, "zoo") for name in FAMILY)}
    config = recognise(mismatches, len(arrays))
    if mismatches[config].total:
        raise ModelFileError(f"does not fit {config.name} of the zoo: {mismatches[config]}")
    shapes, names = expected_shapes(config), _tensor_names(config)
    tensors = {
        names[zoo]: torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")).reshape(shapes[names[zoo]]))
        for zoo, array in arrays.items()
    }
    return tensors, config
