from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
import torch
from openvino import opset13 as ops

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.errors import InputError, ModelFileError
from danet.model_spec import DecoderSpec, ModelSpec
from danet_converters import command
from danet_converters import export as export_module
from danet_converters.export import TARGETS, ParityError, Target, choose_targets, export
from danet_converters.parity import TOLERANCES, Tolerance, compare, sample_crops
from danet_converters.to_openvino import save_ir
from danet_network.checkpoint import load_checkpoint
from danet_network.config import DANetConfig
from danet_network.model import DANet
from danet_network.runner import TorchRunner

IR = TARGETS[1]


@pytest.fixture
def spec(tiny_checkpoint: Path) -> ModelSpec:
    """What the exported fp32 files must say of themselves."""
    written = load_checkpoint(tiny_checkpoint)[1]
    return replace(written, source_sha256=hashlib.sha256(tiny_checkpoint.read_bytes()).hexdigest(), precision="fp32")


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What the files say, read by the formats' own libraries


def test_onnx_carries_the_spec_and_names(tiny_onnx: Path, spec: ModelSpec) -> None:
    model = onnx.load(tiny_onnx)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelSpec.from_json(properties["danet.model_spec"]) == spec
    (images,), (heatmaps,) = model.graph.input, model.graph.output
    assert (images.name, heatmaps.name) == ("images", "heatmaps")
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert heatmaps.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    batch, *rest = images.type.tensor_type.shape.dim
    assert batch.dim_param
    assert [side.dim_value for side in rest] == [128, 96, 3]
    assert heatmaps.type.tensor_type.shape.dim[0].dim_param == batch.dim_param
    assert [side.dim_value for side in heatmaps.type.tensor_type.shape.dim[1:]] == [17, 32, 24]
    assert not any(entry.external_data for entry in model.graph.initializer)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_ir_carries_the_spec_and_names(precision: Any, spec: ModelSpec, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue("tiny_ir" if precision == "fp32" else "tiny_ir_fp16")
    model = ov.Core().read_model(path)
    found = ModelSpec.from_json(model.get_rt_info(["danet.model_spec"]).astype(str))
    (metric,) = spec.metrics
    noted = metric if precision == "fp32" else replace(metric, method=f"{metric.method}; of the fp32 checkpoint")
    assert found == replace(spec, precision=precision, metrics=(noted,))
    assert (model.input("images"), model.output("heatmaps")) == (model.input(0), model.output(0))
    assert model.input(0).element_type == ov.Type.u8
    assert model.output(0).element_type == ov.Type.f32
    assert model.input(0).partial_shape[0].is_dynamic
    assert [side.get_length() for side in list(model.input(0).partial_shape)[1:]] == [128, 96, 3]
    assert [side.get_length() for side in list(model.output(0).partial_shape)[1:]] == [17, 32, 24]


def test_ir_holds_no_spec_beside_its_own(tiny_ir: Path, tiny_ir_fp16: Path) -> None:
    for path in (tiny_ir, tiny_ir_fp16):
        assert path.read_text(encoding="utf-8").count("<danet.model_spec ") == 1


def test_half_precision_is_half_as_large(tiny_ir: Path, tiny_ir_fp16: Path) -> None:
    whole, half = (path.with_suffix(".bin").stat().st_size for path in (tiny_ir, tiny_ir_fp16))
    assert 0.49 < half / whole < 0.53
    assert tiny_ir_fp16.name == "tiny-fp16.xml"


def test_exported_folder_holds_the_files_and_nothing_else(tiny_onnx: Path, tiny_ir: Path, tiny_ir_fp16: Path) -> None:
    names = {"tiny.onnx", "tiny.xml", "tiny.bin", "tiny-fp16.xml", "tiny-fp16.bin"}
    assert {path.name for path in tiny_ir.parent.iterdir()} == names


# Parity


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_onnx_in_both_runtimes(backend: str, tiny_onnx: Path, tiny_checkpoint: Path, spec: ModelSpec) -> None:
    network, _ = load_checkpoint(tiny_checkpoint)
    loaded = load_model(tiny_onnx, backend, BackendOptions())
    assert loaded.spec == spec
    parity = compare(TorchRunner(network, spec), loaded.backend, spec, sample_crops(spec, seed=9))
    loaded.backend.close()
    assert parity.heatmaps < 1e-5
    assert parity.keypoints == 0
    assert parity.compared == 16 * 17
    assert parity.moved == 0


def test_half_precision_parity_numbers(tiny_ir_fp16: Path, tiny_network: Any, spec: ModelSpec) -> None:
    loaded = load_model(tiny_ir_fp16, None, BackendOptions())
    parity = compare(TorchRunner(tiny_network, spec), loaded.backend, spec, sample_crops(spec, seed=9))
    loaded.backend.close()
    assert 1e-6 < parity.heatmaps < 1e-2  # rounded weights show, and no more than that
    assert parity.within(TOLERANCES["fp16"])


@dataclass
class Answers:
    """A backend that gives prepared heatmaps, batch after batch."""

    heatmaps: np.ndarray[Any, Any]
    start: int = 0

    def run(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        batch = self.heatmaps[self.start : self.start + len(images)]
        self.start += len(images)
        return batch

    def close(self) -> None:
        pass


def test_parity_numbers_by_hand() -> None:
    spec = ModelSpec("hand", keypoints=("a", "b"), flip_pairs=(), skeleton=())
    rows, columns = np.mgrid[:64, :48]

    def hill(x: float, y: float) -> Any:
        return 2 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)

    expected = np.zeros((1, 2, 64, 48), np.float32)
    expected[0] = hill(10.2, 20.1), hill(30.2, 40.1)
    near, far = expected.copy(), expected.copy()
    near[0, 0] += 1e-5
    far[0, 0] = hill(11.2, 20.1)
    crops = np.zeros((1, *spec.input_size, 3), np.uint8)
    same = compare(Answers(expected), Answers(near), spec, crops)
    assert same.heatmaps == pytest.approx(1e-5 / (expected.max() - expected.min()), rel=0.05)
    assert (same.keypoints, same.moved, same.compared) == (0, 0, 2)
    moved = compare(Answers(expected), Answers(far), spec, crops)
    assert moved.keypoints == pytest.approx(spec.stride)  # one cell
    assert moved.moved == 1
    assert not moved.within(Tolerance(heatmaps=1.0, moved=0.4))
    assert moved.within(Tolerance(heatmaps=1.0, moved=0.5))


@pytest.mark.parametrize(("error", "moved"), [(2e-6, 0), (2e-5, 1)])
def test_a_tie_that_rounding_decides_is_no_difference(error: float, moved: int) -> None:
    """The second and third response of a map swap places, and the keypoint jumps; only a true difference counts."""
    spec = ModelSpec("tie", keypoints=("a",), flip_pairs=(), skeleton=(), decoder=DecoderSpec(blur_kernel=1))
    expected = np.zeros((1, 1, 64, 48), np.float32)
    expected[0, 0, 30, 20:23] = 0.5, 1, 0.5 - error / 2
    found = expected.copy()
    found[0, 0, 30, 22] += error
    parity = compare(Answers(expected), Answers(found), spec, np.zeros((1, *spec.input_size, 3), np.uint8))
    assert parity.heatmaps == pytest.approx(error, rel=0.1)
    assert (parity.moved, parity.keypoints) == (moved, pytest.approx(moved * 2.0))  # by half a cell
    assert parity.within(TOLERANCES["fp32"]) == (not moved)


def test_nan_is_never_parity() -> None:
    spec = ModelSpec("nan")
    expected = np.random.default_rng(0).random((1, 17, 64, 48), np.float32)
    found = expected.copy()
    found[0, 3, 5, 5] = np.nan
    crops = np.zeros((1, *spec.input_size, 3), np.uint8)
    parity = compare(Answers(expected), Answers(found), spec, crops)
    assert not parity.within(Tolerance(heatmaps=1e9, moved=1.0))


# A file that fails is not kept


@pytest.fixture
def weaker_network(tiny_ir: Path) -> Target:
    """The checkpoint's graph with a last convolution that is off by a thousandth."""

    def write(_: Any, spec: ModelSpec, path: Path) -> None:
        model = ov.Core().read_model(tiny_ir)
        last = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"][-1]
        weights = last.input_value(1).get_node()
        last.input(1).replace_source_output(ops.constant(1.001 * weights.data).output(0))
        save_ir(model, spec, path)

    return replace(IR, write=write)


def copied(path: Path) -> Target:
    """An export that takes no time: the file of the same checkpoint, made before."""

    def write(_: Any, __: ModelSpec, target: Path) -> None:
        for suffix in IR.suffixes:
            shutil.copy(path.with_suffix(suffix), target.with_suffix(suffix))

    return replace(IR, write=write)


def test_copied_file_passes(tiny_ir: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    done = export(tiny_checkpoint, copied(tiny_ir), tmp_path, "name")
    assert done.path == tmp_path / "name.xml"
    assert set(listing(tmp_path)) == {"name.xml", "name.bin"}
    assert done.parity.heatmaps < 1e-5


def test_the_checkpoint_is_not_written_over(tiny_config: DANetConfig, tiny_ir: Path, tmp_path: Path) -> None:
    """A .bin of PyTorch has the name that an IR's weights will have."""
    checkpoint = tmp_path / "tiny.bin"
    weights, spec = DANet(tiny_config).state_dict(), ModelSpec("tiny")
    torch.save({"model": weights, "config": tiny_config.to_dict(), "spec": spec.to_json()}, checkpoint)
    before = listing(tmp_path)
    for name in (None, "tiny"):
        with pytest.raises(InputError, match=r"tiny\.bin is read; write to another file"):
            export(checkpoint, copied(tiny_ir), tmp_path, name)
    assert listing(tmp_path) == before


def test_wrong_weights_are_not_kept_and_older_files_stay(
    weaker_network: Target, tiny_checkpoint: Path, tiny_ir: Path, tmp_path: Path
) -> None:
    export(tiny_checkpoint, copied(tiny_ir), tmp_path)
    before = listing(tmp_path)
    with pytest.raises(ParityError, match=r"differs from its checkpoint by \S+ of the heatmaps' range.*not kept"):
        export(tiny_checkpoint, weaker_network, tmp_path)
    assert listing(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.xml", "tiny.bin"}


def test_impossible_tolerance(
    monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path, tiny_ir: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(TOLERANCES, "fp32", Tolerance(heatmaps=-1.0, moved=0.0))
    with pytest.raises(ParityError):
        export(tiny_checkpoint, copied(tiny_ir), tmp_path)
    assert not list(tmp_path.iterdir())


def test_spec_that_does_not_come_back(tiny_checkpoint: Path, tiny_ir: Path, tiny_ir_fp16: Path, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="spec read back differs"):
        export(tiny_checkpoint, copied(tiny_ir_fp16), tmp_path)  # its spec says fp16
    assert not list(tmp_path.iterdir())


def test_exporter_that_crashes_leaves_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def write(_: Any, __: ModelSpec, target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        export(tiny_checkpoint, replace(IR, write=write), tmp_path)
    assert not list(tmp_path.iterdir())


def test_interrupted_between_the_two_files_of_an_ir_the_old_model_remains(
    monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path, tiny_ir: Path, tmp_path: Path
) -> None:
    # the old .xml with the new .bin would load and be wrong
    for suffix in IR.suffixes:
        (tmp_path / f"tiny{suffix}").write_text("old")
    replace_file = Path.replace

    def die(path: Path, target: Path) -> Path:
        if path.suffix == ".xml":
            raise KeyboardInterrupt
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        export(tiny_checkpoint, copied(tiny_ir), tmp_path)
    # whole, since what was moved is put back; a SIGKILL: tests/faults/test_kill_writers.py
    assert listing(tmp_path) == {"tiny.xml": b"old", "tiny.bin": b"old"}


@pytest.mark.parametrize("name", ["sub/model", "../model", "/model", "", ".hidden"])
def test_names_that_lead_elsewhere(name: str, tiny_checkpoint: Path, tiny_ir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file's name without folder"):
        export(tiny_checkpoint, copied(tiny_ir), tmp_path / "out", name)
    assert not list(tmp_path.iterdir())


def test_any_name(tiny_checkpoint: Path, tiny_ir: Path, tmp_path: Path) -> None:
    name = "Tïny person.v2"
    done = export(tiny_checkpoint, copied(tiny_ir), tmp_path / "new" / "folder", name)
    assert set(listing(tmp_path)) == {f"new/folder/{name}.xml", f"new/folder/{name}.bin"}
    load_model(done.path, None, BackendOptions()).backend.close()


# What is refused before any work


def test_chosen_targets() -> None:
    assert choose_targets(["openvino"], ["fp16", "fp32"]) == [TARGETS[1], TARGETS[2]]
    assert choose_targets(["onnx"], ["fp32"]) == [TARGETS[0]]
    with pytest.raises(InputError, match=r"onnx in fp16: expected fp32"):
        choose_targets(["openvino", "onnx"], ["fp16"])
    assert len(choose_targets(["onnx", "openvino"], ["fp32", "fp16"])) == 3
    for quantized in (False, True):
        with pytest.raises(InputError, match=r"dynamic-int8 in onnx/openvino: expected fp32/fp16, or another format"):
            choose_targets(["onnx", "openvino"], ["fp32", "dynamic-int8"], quantized=quantized)


def test_a_format_that_is_quantized_may_have_none_of_the_other_precisions(
    danet: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[list[Target]] = []
    monkeypatch.setattr(export_module, "export_all", lambda _, targets, *__: chosen.append(targets) or iter(()))
    monkeypatch.setattr(command, "_quantizer", lambda _: lambda *_: 0)
    formats = ("--to", "onnx", "openvino", "--precision", "fp16", "int8", "--out", tmp_path)
    assert danet("convert", "x.safetensors", *formats).status == 0
    assert chosen == [[TARGETS[2]]]


def test_unreadable_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelFileError, match=r"broken\.safetensors"):
        export(tmp_path / "broken.safetensors", IR, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_reports_a_failed_parity_in_one_line(
    monkeypatch: pytest.MonkeyPatch, danet: Callable[..., Any], tiny_checkpoint: Path, tiny_ir: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(export_module, "TARGETS", (copied(tiny_ir),))
    monkeypatch.setitem(TOLERANCES, "fp32", Tolerance(heatmaps=1e-4, moved=-1.0))
    assert "not kept" in danet("convert", tiny_checkpoint, "--out", tmp_path).error()
    assert not list(tmp_path.iterdir())
