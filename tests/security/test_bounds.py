"""Sizes, depths and counts that files may ask for."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet import tflite_file
from danet.commands import pictures
from danet.detectors.metadata import MAX_METADATA, stated_facts, stated_person_class
from danet.detectors.network import NetworkFacts, TensorFacts
from danet.detectors.picture_input import MAX_SIDE, picture_input
from danet.embedded import embedded_model
from danet.errors import DetectorError, InputError, ModelFileError, ModelSpecError
from danet.model_spec import MAX_PAIRS, MAX_SPEC_BYTES, ModelSpec
from danet.tflite_file import MAX_ENTRIES, read_tflite
from danet.tuning.record import Tuning
from danet.tuning.settings import MAX_THREADS, Settings
from danet_evaluation import coco
from danet_evaluation.coco import load_coco
from danet_evaluation.detections import load_detections

NESTED = "[" * 900 + "]" * 900


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps({"name": "x", "licence": "é" * MAX_SPEC_BYTES}, ensure_ascii=False)[: MAX_SPEC_BYTES - 9], "bytes"),
        ('{"name": "x", "name": "y"}', "the key 'name' comes twice"),
        ("{" + ", ".join(f'"{key}": 0' for key in [*range(60_000), 59_999]) + "}", "the key '59999' comes twice"),
        ('{"name": "x", "decoder": {"flip_shift": 0, "flip_shift": 1}}', "'flip_shift' comes twice"),
        (f'{{"name": "x", "precision": {NESTED}}}', "precision"),
        (f'{{"name": "x", "format_version": {NESTED}}}', "format_version is a list"),
        ('{"name": "x", "\\u001b[2J": 1}', r"unknown fields \\x1b\[2J"),
        (f'{{"name": "x", "skeleton": {[[0, 1]] * (2 * MAX_PAIRS + 1)}}}', "pairs at most"),
        ('{"name": "x", "stride": ' + "9" * 5000 + "}", "not JSON"),
        ('{"name": "x", "mean": [NaN, 0, 0]}', "mean"),
        ('{"name": "x", "box_padding": Infinity}', "box_padding"),
    ],
)
def test_specs(text: str, told: str) -> None:
    with pytest.raises(ModelSpecError, match=told) as refused:
        ModelSpec.from_json(text)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("threads", [0, -1, MAX_THREADS + 1, 1 << 40])
def test_threads(threads: int) -> None:
    """A tuning record beside a model may ask for them; OpenCV takes a C int."""
    with pytest.raises(InputError, match="threads"):
        Settings(threads=threads)


def test_a_tuning_that_says_things_twice() -> None:
    with pytest.raises(ModelFileError, match="'settings' comes twice"):
        Tuning.from_json('{"settings": 1, "settings": 2}')


def zipped(entries: int) -> bytes:
    written = io.BytesIO(embedded_flatbuffer())
    with zipfile.ZipFile(written, "a") as archive:
        for number in range(entries):
            archive.writestr(str(number), "")
    return written.getvalue()


def embedded_flatbuffer() -> bytes:
    path = embedded_model("danet72", "tflite")
    assert path is not None
    content = path.read_bytes()
    return content[: tflite_file._zip_start(content)]


def test_associated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(zipped(MAX_ENTRIES))
    assert read_tflite(path).spec_text is None
    path.write_bytes(zipped(MAX_ENTRIES + 1))
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("their number is told before the directory is read"))
    with pytest.raises(ModelSpecError, match=f"more than {MAX_ENTRIES} associated files"):
        read_tflite(path)


def test_a_spec_that_unpacks_to_more(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    written = io.BytesIO(embedded_flatbuffer())
    with zipfile.ZipFile(written, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("danet.model_spec", " " * (200 << 20))
    path.write_bytes(written.getvalue())
    with pytest.raises(ModelSpecError, match=f"longer than {MAX_SPEC_BYTES} bytes"):
        read_tflite(path)


def shared_tables(count: int) -> bytes:
    """A flatbuffer of `count` subgraphs, which are one, of `count` tensors, which are one."""
    root_vtable, vtable, root, subgraphs = 40, 60, 80, 100
    graph = subgraphs + 4 + 4 * count
    tensors, leaf = graph + 8, graph + 8 + 4 + 4 * count
    content = bytearray(leaf + 4)
    struct.pack_into("<I4s", content, 0, root, b"TFL3")
    struct.pack_into("<5H", content, root_vtable, 10, 8, 0, 0, 4)  # field 2 lies 4 bytes into the table
    struct.pack_into("<3H", content, vtable, 6, 8, 4)  # field 0 does
    struct.pack_into("<iI", content, root, root - root_vtable, subgraphs - (root + 4))
    struct.pack_into("<iI", content, graph, graph - vtable, tensors - (graph + 4))
    struct.pack_into("<i", content, leaf, leaf - vtable)
    for start, target in ((subgraphs, graph), (tensors, leaf)):
        places = start + 4 + 4 * np.arange(count)
        struct.pack_into("<I", content, start, count)
        content[start + 4 : start + 4 + 4 * count] = (target - places).astype("<u4").tobytes()
    return bytes(content)


def test_a_flatbuffer_whose_tables_are_shared(tmp_path: Path) -> None:
    """100,000 x 100,000 tables in a megabyte: hours, if each were looked at."""
    path = tmp_path / "x.tflite"
    path.write_bytes(shared_tables(10))
    assert read_tflite(path).spec_text is None  # few are no offence
    path.write_bytes(shared_tables(100_000))
    with pytest.raises(ModelFileError, match="damaged or cut"):
        read_tflite(path)


def test_endless_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tflite_file, "MAX_TFLITE_BYTES", 1 << 16)
    monkeypatch.setattr(coco, "MAX_ANNOTATION_BYTES", 1 << 16)
    monkeypatch.setattr(pictures, "MAX_BOXES_CHARACTERS", 1 << 16)
    with pytest.raises(ModelFileError, match="more than 65536 bytes"):
        read_tflite(Path("/dev/zero"))
    for refused in (lambda path: load_coco(path, []), load_detections):
        with pytest.raises(InputError, match="more than 65536 bytes"):
            refused(Path("/dev/zero"))
    with pytest.raises(InputError, match="more than 65536 characters"):
        pictures.read_boxes("/dev/zero")


@pytest.mark.needs("torch")
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pkl"])
def test_endless_checkpoints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str) -> None:
    from danet_network import checkpoint

    monkeypatch.setattr(checkpoint, "MAX_FILE_BYTES", 1 << 16)
    (path := tmp_path / f"model{suffix}").symlink_to("/dev/zero")
    with pytest.raises(ModelFileError, match="more than 65536 bytes, expected a checkpoint"):
        checkpoint.load_checkpoint(path)


@pytest.mark.parametrize(
    "names",
    [
        "{[]: 1}",
        "{{}}",
        "{0: 'a', 'b': 1}",
        "{0: 0x" + "f" * 9999 + "}",
        "-" * 9999 + "1",
        "[" * 9999,
        "1+1j" + "+1" * 9999,
        "a()",
        "{True: 'a'}",
        "['" + "a" * MAX_METADATA + "']",
    ],
)
def test_class_names_that_are_none(names: str) -> None:
    facts = stated_facts({"names": names, "imgsz": "[640, 99999999]"})
    assert (facts.names, facts.image_size) == (None, None)


def test_class_names_in_messages_are_short() -> None:
    with pytest.raises(DetectorError) as refused:
        stated_person_class(("a" * 100_000, "b" * 100_000))
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("side", [MAX_SIDE + 1, 1 << 40, -1])
def test_inputs_that_no_memory_holds(side: int) -> None:
    given = TensorFacts("images", (1, 3, side, 64), np.dtype("float32"))
    with pytest.raises(DetectorError, match=f"sides of 1..{MAX_SIDE}"):
        picture_input(NetworkFacts((given,), (), {}), None, stated_facts({}))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_graph_without_inputs(tmp_path: Path, backend: str) -> None:
    from danet.backends.base import BackendOptions
    from danet.backends.registry import load_model

    onnx = pytest.importorskip("onnx")
    pytest.importorskip(backend)
    node = onnx.helper.make_node("Constant", [], ["y"], value_float=1.0)
    graph = onnx.helper.make_graph([node], "g", [], [onnx.helper.make_tensor_value_info("y", 1, [])])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="expected one N x H x W x 3 uint8"):
        load_model(path, backend, BackendOptions())


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "1" * 5000, "learning_rate = 1" + "0" * 400, "#" * (1 << 20) + "\n"]
)
def test_training_configs(tmp_path: Path, text: str) -> None:
    from danet_training.config import load_config

    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(InputError):
        load_config(path)


@pytest.mark.needs("torch")
def test_networks_of_thousands_of_layers() -> None:
    from danet_network.config import MAX_LAYERS, DANetConfig

    values: dict[str, Any] = {"name": "x", "preset": "paper", "transitions": [8] * 4, "decoder_width": 8}
    assert DANetConfig.from_dict({**values, "layers": [MAX_LAYERS] * 4}).depth == 8 * MAX_LAYERS + 6
    with pytest.raises(ModelFileError, match=f"at most {MAX_LAYERS} to a stage"):
        DANetConfig.from_dict({**values, "layers": [1, 1, 1, MAX_LAYERS + 1]})


@pytest.mark.needs("safetensors")
@pytest.mark.parametrize("end", [1 << 40, 16])
def test_a_header_that_promises_more_than_there_is(tmp_path: Path, end: int) -> None:
    pytest.importorskip("torch")
    from danet_network.checkpoint import load_checkpoint

    shape = [end // 4]
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelFileError, match="not a whole safetensors file"):
        load_checkpoint(path)
