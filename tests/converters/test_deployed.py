from __future__ import annotations

import gc
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import danet_converters
from danet.model_spec import ModelSpec
from danet_converters import export as export_module
from danet_converters import to_tflite
from danet_converters.deployed import DeployedNetwork, made_once
from danet_converters.export import TARGETS, ParityError, export_all, export_network
from danet_converters.parity import TOLERANCES, Tolerance
from danet_converters.to_onnx import onnx_model

SPEC = ModelSpec("small", input_size=(64, 64))


class Small(nn.Module):
    """A network of one convolution with the shapes of a pose network."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 17, 3, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        heatmaps: Tensor = self.convolution(images)
        return heatmaps


@pytest.fixture
def network() -> DeployedNetwork:
    return DeployedNetwork(Small(), SPEC).eval()


def test_made_once_for_a_network_and_a_size(network: DeployedNetwork) -> None:
    made: list[tuple[int, tuple[int, int]]] = []

    @made_once
    def make(of: DeployedNetwork, spec: ModelSpec) -> object:
        made.append((id(of), spec.input_size))
        return object()

    first = make(network, SPEC)
    assert make(network, replace(SPEC, name="other", precision="fp16")) is first
    assert make(network, replace(SPEC, input_size=(128, 64))) is not first
    other = DeployedNetwork(Small(), SPEC).eval()
    assert make(other, SPEC) is not first
    assert made == [(id(network), (64, 64)), (id(network), (128, 64)), (id(other), (64, 64))]


def test_what_was_made_goes_with_its_network() -> None:
    class Graph:
        alive = 0

        def __init__(self) -> None:
            Graph.alive += 1

        def __del__(self) -> None:
            Graph.alive -= 1

    make = made_once(lambda _, __: Graph())
    network = DeployedNetwork(Small(), SPEC)
    make(network, SPEC)
    assert Graph.alive == 1
    del network
    gc.collect()
    assert Graph.alive == 0


def test_each_onnx_model_is_its_callers_own(network: DeployedNetwork) -> None:
    with torch.no_grad():
        first = onnx_model(network, SPEC)
        del first.graph.node[:]
        second = onnx_model(network, replace(SPEC, name="second"))
    assert len(second.graph.node) > 3
    (entry,) = second.metadata_props
    assert ModelSpec.from_json(entry.value).name == "second"


def test_onnx_says_nothing_of_the_machine_that_wrote_it(network: DeployedNetwork) -> None:
    with torch.no_grad():
        content = onnx_model(network, SPEC).SerializeToString()
    for place in (Path(danet_converters.__file__), Path(__file__), Path(torch.__file__)):
        assert str(place.parent).encode() not in content


def test_files_of_one_graph_come_from_one_tracing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[object] = []
    trace = torch.onnx.export

    def counted(*arguments: object, **options: object) -> object:
        traced.append(arguments[0])
        return trace(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.onnx, "export", counted)
    monkeypatch.setattr(export_module, "load_checkpoint", lambda _: (Small().eval(), SPEC))
    monkeypatch.setattr(export_module, "simplify", lambda network, _: network)
    wanted = [target for target in TARGETS if target.format in ("onnx", "openvino")]
    paths = [done.path.name for done in export_all(tmp_path / "small.safetensors", wanted, tmp_path)]
    assert paths == ["small.onnx", "small.xml", "small-fp16.xml"]
    assert len(traced) == 1


def test_tflite_is_converted_once(network: DeployedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[str] = []
    monkeypatch.setattr(to_tflite, "TfliteNetwork", lambda network, _: network)
    monkeypatch.setattr(to_tflite, "converted", lambda _, spec: converted.append(spec.precision) or b"graph")
    for precision in ("fp32", "fp16", "int8"):
        assert to_tflite.float_model(network, replace(SPEC, precision=precision)) == b"graph"
    assert converted == ["fp32"]


def test_what_was_written_before_a_failure_stays(
    tiny_checkpoint: Path, tiny_ir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(_: object, spec: ModelSpec, path: Path) -> None:
        for suffix in (".xml", ".bin"):
            shutil.copy(tiny_ir.with_suffix(suffix), path.with_suffix(suffix))

    good = replace(TARGETS[1], write=copy)
    monkeypatch.setitem(TOLERANCES, "fp16", Tolerance(heatmaps=0.0, moved=0.0))
    files = export_all(tiny_checkpoint, [good, replace(good, precision="fp16")], tmp_path)
    assert next(files).path == tmp_path / "tiny.xml"
    with pytest.raises(ParityError):
        next(files)
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.xml", "tiny.bin"}


def test_any_network_is_exported(tmp_path: Path) -> None:
    network = Small().eval()
    done = export_network(network, network, SPEC, TARGETS[0], tmp_path)
    assert done.path == tmp_path / "small.onnx"
    assert done.parity.moved == 0
