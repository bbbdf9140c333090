"""What the exported .tflite files hold, and that they compute what the checkpoint computes."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import openvino as ov
import pytest
import torch
from tests.faults.cases import GOLDEN

from danet.backends.tflite_backend import open_tflite
from danet.errors import InputError, MissingExtraError
from danet.model_spec import ModelSpec
from danet.tflite_file import with_spec
from danet_converters import command, to_tflite
from danet_converters.export import TARGETS, ParityError, choose_targets, export
from danet_converters.parity import TOLERANCES, compare, sample_crops
from danet_converters.to_tflite import stored_as
from danet_network.checkpoint import load_checkpoint
from danet_network.runner import TorchRunner

FP32 = next(one for one in TARGETS if (one.format, one.label) == ("tflite", "fp32"))


@dataclass(frozen=True)
class Made:
    """A network, its checkpoint, and the .tflite file of that."""

    network: Any
    spec: ModelSpec
    checkpoint: Path
    path: Path


@pytest.fixture(scope="module")
def fresh(tiny_checkpoint: Path, tiny_tflite: Path) -> Made:
    """As today's exporter makes it, in half a minute."""
    return Made(*load_checkpoint(tiny_checkpoint), tiny_checkpoint, tiny_tflite)


@pytest.fixture(scope="module", params=["golden", pytest.param("fresh", marks=pytest.mark.long)])
def made(request: pytest.FixtureRequest) -> Made:
    """For what is done with an exported file; of an earlier day where half a minute is too long."""
    if request.param == "fresh":
        return cast("Made", request.getfixturevalue("fresh"))
    checkpoint = GOLDEN / "tiny.safetensors"
    return Made(*load_checkpoint(checkpoint), checkpoint, GOLDEN / "tiny.tflite")


@pytest.fixture(scope="module")
def stored(made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The exported file by the precision of its weights, made of one export."""
    folder, whole, spec = tmp_path_factory.mktemp("stored"), made.path.read_bytes(), made.spec
    paths = {"fp32": made.path}
    for precision in ("fp16", "int8"):
        paths[precision] = folder / f"{precision}.tflite"
        paths[precision].write_bytes(with_spec(stored_as(precision, whole), replace(spec, precision=precision)))  # type: ignore[arg-type]
    return paths


def operations(path: Path) -> Counter[str]:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    from danet_converters.tflite_graph import operation

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    return Counter(names[operation(graph, node)] for node in graph.subgraphs[0].operators)


@pytest.mark.long
def test_spec_and_layout(fresh: Made) -> None:
    from ai_edge_litert.interpreter import Interpreter

    backend = open_tflite(fresh.path)
    assert backend.spec == replace(fresh.spec, precision="fp32")
    assert (fresh.path.name, backend.batch_sizes) == ("tiny.tflite", None)
    interpreter = Interpreter(model_path=str(fresh.path))
    (images,), (heatmaps,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["images"], "outputs": ["heatmaps"]}}
    assert (images["name"], heatmaps["name"]) == ("images", "heatmaps")
    assert (images["dtype"], images["shape_signature"].tolist()) == (np.uint8, [-1, 128, 96, 3])
    assert (heatmaps["dtype"], heatmaps["shape_signature"].tolist()) == (np.float32, [-1, 32, 24, 17])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_parity(precision: Any, stored: dict[str, Path], made: Made) -> None:
    backend = open_tflite(stored[precision])
    parity = compare(TorchRunner(made.network, made.spec), backend, made.spec, sample_crops(made.spec, seed=9))
    backend.close()
    assert parity.within(TOLERANCES[precision])
    assert parity.heatmaps > {"fp32": 0, "fp16": 1e-6, "int8": 1e-4}[precision]  # rounded weights show


def test_sizes(stored: dict[str, Path]) -> None:
    whole, half, quarter = (stored[precision].stat().st_size for precision in ("fp32", "fp16", "int8"))
    assert half < 0.75 * whole  # in a network this small the graph itself weighs as much as the weights
    assert quarter < half


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_openvino_reads_it_as_well(precision: str, stored: dict[str, Path]) -> None:
    model = ov.Core().read_model(stored[precision])
    assert list(model.input(0).partial_shape)[1:] == [128, 96, 3]
    assert list(model.output(0).partial_shape)[1:] == [32, 24, 17]


@pytest.mark.long
def test_operations_are_those_that_the_form_is_made_of(fresh: Made) -> None:
    counts = operations(fresh.path)
    assert counts["DEPTH_TO_SPACE"] == 3
    slow = {"TRANSPOSE", "RESHAPE", "SLICE", "STRIDED_SLICE", "TRANSPOSE_CONV", "PADV2"}
    assert not slow & set(counts)


def test_xnnpack_takes_all_in_one_piece_but_the_cast_of_the_pixels(made: Made) -> None:
    from danet_converters.tflite_profile import partitions

    assert partitions(made.path.read_bytes(), threads=1) == (1, 1)
    assert operations(made.path)["CAST"] == 1


def test_profile_counts_every_operation(made: Made) -> None:
    from danet_converters.tflite_profile import operation_costs

    costs = operation_costs(made.path.read_bytes(), threads=1)
    assert {cost.name: cost.count for cost in costs} == dict(operations(made.path))
    assert all(cost.milliseconds > 0 for cost in costs)


@pytest.fixture
def weaker_file(made: Made) -> Callable[[Any, ModelSpec, Path], None]:
    """A writer whose file's last weights are off by a thousandth."""
    from ai_edge_litert.tools import flatbuffer_utils

    def write(_: Any, written: ModelSpec, path: Path) -> None:
        graph = flatbuffer_utils.read_model_from_bytearray(bytearray(made.path.read_bytes()))
        subgraph = graph.subgraphs[0]
        node = next(one for one in subgraph.operators if one.outputs[0] == subgraph.outputs[0])
        buffer = graph.buffers[subgraph.tensors[node.inputs[1]].buffer]
        buffer.data = np.frombuffer((np.frombuffer(bytes(buffer.data), np.float32) * 1.001).tobytes(), np.uint8)
        path.write_bytes(with_spec(bytes(flatbuffer_utils.convert_object_to_bytearray(graph)), written))

    return write


def test_wrong_weights_are_not_kept(weaker_file: Any, made: Made, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"tiny\.tflite differs from its checkpoint"):
        export(made.checkpoint, replace(FP32, write=weaker_file), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_targets_by_their_labels() -> None:
    chosen = choose_targets(["tflite"], ["fp32", "fp16", "dynamic-int8"])
    assert [(one.format, one.label, one.precision) for one in chosen] == [
        ("tflite", "fp32", "fp32"),
        ("tflite", "fp16", "fp16"),
        ("tflite", "dynamic-int8", "int8"),
    ]
    with pytest.raises(InputError, match="tflite in int8: expected fp32/fp16/dynamic-int8"):
        choose_targets(["tflite"], ["int8"])


def test_without_litert_torch(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingExtraError, match=r"exporting TFLite needs litert.torch.*danet-edge\[convert-tflite\]"):
        export(tiny_checkpoint, FP32, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_conversion_runs_no_module_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "colorsys.py").write_text("open('run', 'w')")
    monkeypatch.setattr(to_tflite, "CONVERSION", "colorsys")  # the standard library's does nothing
    monkeypatch.setattr(to_tflite, "find_spec", lambda _: True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        to_tflite.converted(torch.nn.Identity(), ModelSpec("tiny"))
    assert [path.name for path in tmp_path.iterdir()] == ["colorsys.py"]


def test_a_conversion_that_the_system_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does where memory is short; what the library logged before is not the reason."""
    (tmp_path / "ended.py").write_text(
        "import os, signal, sys\n"
        "print('a log line', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setattr(to_tflite, "CONVERSION", "ended")
    monkeypatch.setattr(to_tflite, "find_spec", lambda _: True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(to_tflite.ConversionError, match=r"ended by signal 9 while it converted tiny.*memory"):
        to_tflite.converted(torch.nn.Identity(), ModelSpec("tiny"))


def test_other_formats_start_without_the_exporter() -> None:
    program = "import sys, danet_converters.export; print('litert_torch' in sys.modules, 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False False"


# The command line


def test_int8_goes_to_the_package_that_gates_it(
    danet: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    hook = SimpleNamespace(load=lambda: lambda *arguments: asked.append(arguments) or 1)
    monkeypatch.setattr(command, "entry_points", lambda group: [hook] if group == "danet.quantizers" else [])
    outcome = danet("convert", "x.safetensors", "--to", "tflite", "--precision", "int8", "--out", tmp_path)
    assert outcome.status == 1  # what the gate says
    assert asked == [(Path("x.safetensors"), ["tflite"], tmp_path, None, None)]


def test_data_without_int8_is_refused(danet: Callable[..., Any], tmp_path: Path) -> None:
    done = danet("convert", "x.safetensors", "--precision", "fp16", "--data", tmp_path, "--out", tmp_path)
    assert done.status == 2
    assert f"--data {tmp_path} is for --precision int8" in done.err


def test_int8_without_that_package(danet: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "entry_points", lambda group: [])
    error = danet("convert", "x.safetensors", "--precision", "int8", "--out", tmp_path / "out").error()
    assert "danet.quantizers" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_convert_command(danet: Callable[..., Any], tiny_checkpoint: Path, tmp_path: Path) -> None:
    precisions = ("fp32", "fp16", "dynamic-int8")
    outcome = danet("convert", tiny_checkpoint, "--to", "tflite", "--precision", *precisions, "--out", tmp_path)
    assert (outcome.status, outcome.out) == (0, "")
    assert len(outcome.err.strip().splitlines()) == 3
    names = {"tiny.tflite", "tiny-fp16.tflite", "tiny-dynamic-int8.tflite"}
    assert {path.name for path in tmp_path.iterdir()} == names
