from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from danet.errors import ModelFileError
from danet_network.checkpoint import describe_checkpoint, load_checkpoint
from danet_network.zoo import convert_zoo

Array = NDArray[np.float32]
Arrays = dict[str, Array]

# Table I of the paper
MEMBERS = {
    "danet72": ((3, 6, 12, 12), (96, 192, 384, 512)),
    "danet88": ((4, 5, 18, 14), (128, 192, 512, 640)),
    "danet98": ((4, 12, 16, 14), (128, 256, 512, 640)),
    "danet102": ((6, 12, 16, 14), (128, 256, 512, 640)),
}


# A zoo checkpoint by the naming rules and shapes of the public ones.


def shapes_of_bn(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{leaf}", (1, channels, 1, 1)


def shapes_of_conv(name: str, inputs: int, outputs: int, side: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs, side, side)
    yield f"{name}.bias", (1, outputs, 1, 1)


def shapes_of_depthwise(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (channels, 1, 1, 9, 9)
    yield f"{name}.bias", (1, channels, 1, 1)


def shapes_of_layer(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for branch in ("cau.att_conv", "mau.att_conv", "body_conv"):
        yield from shapes_of_bn(f"{name}.{branch}.0", channels)
        yield from shapes_of_conv(f"{name}.{branch}.2", channels, 32, 1)
        yield from shapes_of_bn(f"{name}.{branch}.3", 32)
    yield from shapes_of_conv(f"{name}.cau.att_conv.5", 32, channels, 1)
    yield from shapes_of_depthwise(f"{name}.mau.att_conv.5", 32)
    yield from shapes_of_conv(f"{name}.body_conv.5", 32, 32, 3)


def zoo_shapes(member: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    layers, transitions = MEMBERS[member]
    yield from shapes_of_conv("fp.head.0", 3, 64, 7)
    yield from shapes_of_bn("fp.head.1", 64)
    channels = 64
    for stage in range(4):
        for layer in range(layers[stage]):
            yield from shapes_of_layer(f"fp.body_layer.{stage}.{layer}", channels)
            channels += 32
        yield from shapes_of_bn(f"fp.transition_layer.{stage}.0", channels)
        yield from shapes_of_conv(f"fp.transition_layer.{stage}.2", channels, transitions[stage], 1)
        channels = transitions[stage]
    for scale in range(4):
        yield from shapes_of_bn(f"up_convs.{scale}.0", transitions[3 - scale])
        yield from shapes_of_conv(f"up_convs.{scale}.2", transitions[3 - scale], 128, 1)
        yield from shapes_of_bn(f"out_convs.{scale}.0", 128)
        yield from shapes_of_conv(f"out_convs.{scale}.2", 128, 128, 1)
        yield from shapes_of_bn(f"out_convs.{scale}.3", 128)
        yield from shapes_of_conv(f"out_convs.{scale}.5", 128, 17, 3)
    for scale in range(3):
        yield from shapes_of_bn(f"deconvs.{scale}.0", 128)
        yield from shapes_of_conv(f"deconvs.{scale}.2", 128, 128, 4)
        yield from shapes_of_bn(f"sfus.{scale}.att_conv.0", 256)
        yield from shapes_of_conv(f"sfus.{scale}.att_conv.2", 256, 128, 1)
        yield from shapes_of_bn(f"sfus.{scale}.att_conv.3", 128)
        yield from shapes_of_depthwise(f"sfus.{scale}.att_conv.5", 128)


def random_array(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    if name.endswith("running_var"):
        return generator.uniform(0.5, 2.0, shape).astype(np.float32)
    scale = np.prod(shape[1:]) ** -0.5 if shape[0] > 1 else 0.3
    return (generator.standard_normal(shape) * scale).astype(np.float32)


def flat_form(arrays: Arrays) -> Arrays:
    """BN tensors and biases as (C,), as older files hold them."""
    return {name: array.reshape(-1) if array.shape[0] == 1 else array for name, array in arrays.items()}


# The zoo's network on the arrays themselves, in float64.


class Reference:
    def __init__(self, arrays: Arrays) -> None:
        self.values = {name: torch.from_numpy(array.astype(np.float64)) for name, array in arrays.items()}

    def bn_relu(self, x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            self.values[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.relu((x - mean) / torch.sqrt(var + 1e-5) * weight + bias)

    def conv(self, x: Tensor, name: str, **options: Any) -> Tensor:
        weight = self.values[f"{name}.weight"]
        if weight.ndim == 5:  # (groups, out/groups, in/groups, kh, kw)
            options["groups"] = weight.shape[0]
            weight = weight.reshape(-1, *weight.shape[2:])
        return functional.conv2d(x, weight, self.values[f"{name}.bias"].reshape(-1), **options)

    def two_convs(self, x: Tensor, name: str, padding: int) -> Tensor:
        """0 BN, ReLU, 2 conv 1x1, 3 BN, ReLU, 5 conv."""
        x = self.conv(self.bn_relu(x, f"{name}.0"), f"{name}.2")
        return self.conv(self.bn_relu(x, f"{name}.3"), f"{name}.5", padding=padding)

    def layer(self, x: Tensor, name: str) -> Tensor:
        factor = torch.sigmoid(self.two_convs(x.mean((2, 3), keepdim=True), f"{name}.cau.att_conv", 0))
        body = self.two_convs(x * factor, f"{name}.body_conv", 1)
        mask = torch.sigmoid(self.two_convs(x, f"{name}.mau.att_conv", 4))
        return torch.cat((x, body * (1 - mask)), 1)

    def pyramid(self, images: Tensor, layers: tuple[int, ...]) -> list[Tensor]:
        x = self.bn_relu(self.conv(images, "fp.head.0", stride=2, padding=3), "fp.head.1")
        x = functional.max_pool2d(x, 3, 2, 1)
        features: list[Tensor] = []
        for stage, count in enumerate(layers):
            x = functional.max_pool2d(x, 2, 2) if stage else x
            for layer in range(count):
                x = self.layer(x, f"fp.body_layer.{stage}.{layer}")
            name = f"fp.transition_layer.{stage}"
            x = self.conv(self.bn_relu(x, f"{name}.0"), f"{name}.2")
            features.insert(0, x)
        return features

    def heatmaps(self, images: Tensor, layers: tuple[int, ...]) -> list[Tensor]:
        outputs: list[Tensor] = []
        fused = torch.empty(0)
        for scale, feature in enumerate(self.pyramid(images, layers)):
            lateral = self.conv(self.bn_relu(feature, f"up_convs.{scale}.0"), f"up_convs.{scale}.2")
            fused = self.fuse(lateral, fused, scale - 1) if scale else lateral
            outputs.append(self.two_convs(fused, f"out_convs.{scale}", 1))
        return outputs

    def fuse(self, lateral: Tensor, coarser: Tensor, index: int) -> Tensor:
        name = f"deconvs.{index}"
        weight, bias = self.values[f"{name}.2.weight"], self.values[f"{name}.2.bias"].reshape(-1)
        up = functional.conv_transpose2d(self.bn_relu(coarser, f"{name}.0"), weight, bias, stride=2, padding=1)
        attention = torch.sigmoid(self.two_convs(torch.cat((lateral, up), 1), f"sfus.{index}.att_conv", 4))
        return attention * lateral + (1 - attention) * up


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    generator = np.random.default_rng(0)
    return {name: random_array(name, shape, generator) for name, shape in zoo_shapes("danet72")}


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(1, 3, 64, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def expected(arrays: Arrays, images: Tensor) -> list[Tensor]:
    return Reference(arrays).heatmaps(images, MEMBERS["danet72"][0])


@pytest.mark.parametrize(("protocol", "flat", "wrapped"), [(2, True, True), (3, False, False), (4, True, False)])
def test_outputs_are_those_of_the_equations(
    tmp_path: Path, arrays: Arrays, images: Tensor, expected: list[Tensor], protocol: int, flat: bool, wrapped: bool
) -> None:
    content = flat_form(arrays) if flat else arrays
    path = tmp_path / "danet72_256x192_69_8.pkl"
    path.write_bytes(pickle.dumps({"state_dict": content, "epoch": 200} if wrapped else content, protocol))
    network, _ = load_checkpoint(path)
    network.double()
    with torch.no_grad():
        finest, fused = network(images), network.fused(images)
        coarse = [regress(features) for regress, features in zip(network.regressors, fused, strict=True)]
    torch.testing.assert_close(finest, expected[3], rtol=1e-9, atol=1e-9)
    for found, wanted in zip(coarse, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_spec_of_a_zoo_file(tmp_path: Path, arrays: Arrays) -> None:
    path = tmp_path / "danet72_256x192_69_8.pkl"
    path.write_bytes(pickle.dumps(arrays, 5))
    info = describe_checkpoint(path)
    spec = info.spec
    assert (info.kind, info.parameters) == ("zoo checkpoint", 4_006_500)
    assert (spec.name, spec.preset, spec.input_size, spec.box_padding) == ("danet72", "zoo", (256, 192), 1.1)
    assert spec.decoder.offsets == (0.35, 0.15, 0.05)
    assert (spec.decoder.heatmap_peak, spec.decoder.flip_shift, spec.decoder.blur_kernel) == (255, 0, 17)
    assert (spec.licence, spec.training_data) == ("Apache-2.0 (MegEngine model zoo)", "COCO train2017")
    assert spec.mean == (103.53, 116.28, 123.675)
    assert spec.std == (57.375, 57.12, 58.395)
    assert len(spec.source_sha256 or "") == 64


@pytest.mark.parametrize("member", MEMBERS)
def test_members_are_recognised_by_shape(member: str) -> None:
    zeros = {name: np.zeros(shape, np.float32) for name, shape in zoo_shapes(member)}
    tensors, config = convert_zoo(zeros)
    assert (config.name, config.preset, config.layers, config.transitions) == (member, "zoo", *MEMBERS[member])
    assert len(tensors) == len(zeros)


def test_big_endian_and_half_precision_arrays(arrays: Arrays) -> None:
    plain, _ = convert_zoo(arrays)
    swapped, _ = convert_zoo({name: array.astype(">f8") for name, array in arrays.items()})
    halves, _ = convert_zoo({name: array.astype(np.float16) for name, array in arrays.items()})
    name = "stages.0.layers.0.spatial_attention.spread.2.weight"
    assert torch.equal(swapped[name].float(), plain[name])
    torch.testing.assert_close(halves[name].float(), plain[name], rtol=1e-3, atol=1e-4)


def test_arrays_may_be_read_only_and_are_not_shared(arrays: Arrays) -> None:
    frozen = {name: array.copy() for name, array in arrays.items()}
    for array in frozen.values():
        array.setflags(write=False)
    tensors, _ = convert_zoo(frozen)
    tensors["stem.0.weight"].zero_()
    assert frozen["fp.head.0.weight"].any()


def test_names_and_shapes_that_do_not_fit_are_listed(arrays: Arrays) -> None:
    changed: dict[str, Any] = dict(arrays)
    del changed["fp.head.0.bias"]
    changed["fp.head.7.weight"] = np.zeros(3, np.float32)
    changed["sfus.1.att_conv.5.weight"] = np.zeros((128, 1, 1, 7, 7), np.float32)
    changed["up_convs.0.0.bias"] = np.zeros((512, 1, 1, 1), np.float32)
    with pytest.raises(ModelFileError) as caught:
        convert_zoo(changed)
    text = str(caught.value)
    assert "danet72" in text
    assert "1 missing: fp.head.0.bias" in text
    assert "1 unexpected: fp.head.7.weight" in text
    assert "sfus.1.att_conv.5.weight (found (128, 1, 1, 7, 7), expected (128, 1, 9, 9))" in text
    assert "up_convs.0.0.bias (found (512, 1, 1, 1), expected (512,))" in text


def test_a_layer_too_few(arrays: Arrays) -> None:
    cut = {name: array for name, array in arrays.items() if not name.startswith("fp.body_layer.1.5.")}
    with pytest.raises(ModelFileError, match=r"danet72.*36 missing: fp\.body_layer\.1\.5\.\S+.* and 28 more"):
        convert_zoo(cut)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([], "holds a list"),
        ({}, "holds no DANet"),
        ({"state_dict": 3}, "holds a int"),
        ({"fp.head.0.weight": 3.0}, r"fp\.head\.0\.weight"),
        ({7: np.zeros(3)}, "1 entries are not arrays by parameter name: 7"),
        ({"conv1.weight": np.zeros((3, 3))}, r"holds no DANet.*conv1\.weight"),
    ],
)
def test_other_content(content: Any, part: str) -> None:
    with pytest.raises(ModelFileError, match=part):
        convert_zoo(content)


def test_integers_for_weights_are_refused(tmp_path: Path, arrays: Arrays) -> None:
    changed: dict[str, Any] = {**arrays, "fp.head.0.weight": np.ones((64, 3, 7, 7), np.int64)}
    (path := tmp_path / "zoo.pkl").write_bytes(pickle.dumps(changed, 4))
    with pytest.raises(ModelFileError, match=r"stem\.0\.weight is a torch\.int64 tensor"):
        load_checkpoint(path)
