from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from danet.model_spec import ModelSpec
from danet_calibration.graph import ir_operations, onnx_operations
from danet_calibration.ir_format import read_ir
from danet_calibration.roles import ROLES, place
from danet_converters.deployed import DeployedNetwork
from danet_converters.simplify import Rewrites, simplify
from danet_converters.to_onnx import onnx_model
from danet_network.config import DANetConfig, danet_config
from danet_network.model import DANet

CONVOLUTIONS = (
    "first convolution",
    "last convolution",
    "1x1",
    "3x3",
    "depthwise",
    "channel attention",
    "deconvolution",
)


def expected_convolutions(config: DANetConfig) -> Counter[str]:
    """How many convolutions of each role the network has by the paper's description."""
    layers = sum(config.layers)
    zoo = config.preset == "zoo"
    return Counter(
        {
            "first convolution": 1,
            "last convolution": 1,
            # body and mask of each layer, transitions, laterals, fusions, the regressor's mix
            "1x1": 2 * layers + 4 + 4 + 3 + 1,
            "3x3": layers + (0 if zoo else 1),
            "depthwise": layers + 3,
            "channel attention": 2 * layers,
            "deconvolution": 3,
        }
    )


@pytest.fixture(scope="module")
def deployed_onnx() -> Callable[[DANetConfig], onnx.ModelProto]:
    def make(config: DANetConfig) -> onnx.ModelProto:
        spec = ModelSpec(name=config.name, input_size=(128, 96))
        network = simplify(DANet(config).eval(), Rewrites())
        with torch.no_grad():
            return onnx_model(DeployedNetwork(network, spec).eval(), spec)

    return make


def check_roles(path: Path, config: DANetConfig) -> None:
    for operations in (onnx_operations(onnx.load(path)), ir_operations(read_ir(path))):
        placed = place(operations, 128)
        found = Counter(one.role for one in placed)
        assert {role: found[role] for role in CONVOLUTIONS} == expected_convolutions(config)
        assert found["sigmoid"] == 2 * sum(config.layers) + 3
        assert found["channel product"] == sum(config.layers)
        assert found["mask product"] == sum(config.layers) + 3  # the fusions too
        assert found["mean"] == sum(config.layers)
        assert set(found) <= set(ROLES)


def test_every_convolution_has_its_role_in_both_formats(tiny_onnx: Path, tiny_config: DANetConfig) -> None:
    check_roles(tiny_onnx, tiny_config)


@pytest.mark.slow
def test_zoo_preset(
    tiny_config: DANetConfig, deployed_onnx: Callable[[DANetConfig], onnx.ModelProto], tmp_path: Path
) -> None:
    config = replace(tiny_config, preset="zoo", layers=(1, 2, 1, 1))
    onnx.save(deployed_onnx(config), tmp_path / "zoo.onnx")
    check_roles(tmp_path / "zoo.onnx", config)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "zoo"])
@pytest.mark.parametrize("name", ["danet72", "danet88", "danet98", "danet102"])
def test_whole_family(name: str, preset: str, deployed_onnx: Callable[[DANetConfig], onnx.ModelProto]) -> None:
    config = danet_config(name, preset)  # type: ignore[arg-type]
    found = Counter(one.role for one in place(onnx_operations(deployed_onnx(config)), 128))
    assert {role: found[role] for role in CONVOLUTIONS} == expected_convolutions(config)


def test_groups_are_roles_at_their_scale(tiny_ir: Path) -> None:
    placed = place(ir_operations(read_ir(tiny_ir)), 128)
    groups = {one.group for one in placed}
    assert {f"1x1 @ 1/{stride}" for stride in (4, 8, 16, 32)} <= groups
    assert {f"deconvolution @ 1/{stride}" for stride in (4, 8, 16)} <= groups
    assert {"channel attention", "first convolution", "last convolution"} <= groups
    # the attention's convolutions see one cell; 1/128 would be its scale
    assert not any(group.endswith("1/128") for group in groups)


def test_ends_of_the_network(tiny_ir: Path) -> None:
    placed = place(ir_operations(read_ir(tiny_ir)), 128)
    first = next(one for one in placed if one.role == "first convolution")
    last = next(one for one in placed if one.role == "last convolution")
    assert (first.operation.kernel, first.operation.size) == ((7, 7), (64, 48))
    assert (last.operation.kernel, last.operation.size) == ((3, 3), (32, 24))
    assert last.operation.weights == 17 * 16 * 3 * 3


def test_names_do_not_change_from_one_reading_to_the_next(tiny_onnx: Path) -> None:
    # OpenVINO's own names count on in a process; statistics that are kept need the same ones
    first = [one.name for one in ir_operations(read_ir(tiny_onnx))]
    assert first == [one.name for one in ir_operations(read_ir(tiny_onnx))]
    assert len(set(first)) == len(first)
