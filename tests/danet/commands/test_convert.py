from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.estimator import PoseEstimator
from danet.frame import read_picture

torch = pytest.importorskip("torch", reason="needs the network itself: pip install 'danet-edge[convert]'")

from danet_network.checkpoint import load_checkpoint
from danet_network.config import DANetConfig
from danet_network.model import DANet

Danet = Callable[..., Any]


def same_poses(left: Path, right: Path, picture: Path) -> None:
    image = read_picture(picture)
    boxes = [[20, 15, 375, 512], [120, 10, 340, 300]]
    with PoseEstimator(left) as first, PoseEstimator(right) as second:
        expected, found = first.infer(image, boxes), second.infer(image, boxes)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


@pytest.mark.slow
def test_pytorch_file_to_both_formats(
    danet: Danet, tiny_network: DANet, tiny_config: DANetConfig, tiny_checkpoint: Path, portrait: Path, tmp_path: Path
) -> None:
    spec = load_checkpoint(tiny_checkpoint)[1]
    content = {
        "config": tiny_config.to_dict(),
        "spec": replace(spec, source_sha256=None).to_json(),
        "model": tiny_network.state_dict(),
    }
    torch.save(content, tmp_path / "some.pt")
    out = tmp_path / "models"
    outcome = danet("convert", tmp_path / "some.pt", "--to", "onnx", "openvino", "--out", out, "--name", "camera")
    assert (outcome.status, outcome.out) == (0, "")
    assert {path.name for path in out.iterdir()} == {"camera.onnx", "camera.xml", "camera.bin"}
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 2
    assert all("heatmaps differ by" in line and "0 of 272 keypoints moved" in line for line in lines)
    for name in ("camera.onnx", "camera.xml"):
        same_poses(tiny_checkpoint, out / name, portrait)


@pytest.mark.long
def test_decoder_and_padding_are_written_into_the_file(
    danet: Danet, tiny_checkpoint: Path, portrait: Path, tmp_path: Path
) -> None:
    options = ("--decoder", "dark", "--box-padding", 1.5)
    assert danet("convert", tiny_checkpoint, *options, "--out", tmp_path).status == 0
    path = tmp_path / "tiny.xml"
    with PoseEstimator(path) as dark, PoseEstimator(path, decoder="offset") as offset:
        spec = load_checkpoint(tiny_checkpoint)[1]
        (metric,) = spec.metrics
        words = f"{metric.method}, decoder offset, box padding {spec.box_padding:g}"
        noted = replace(spec, box_padding=1.5, metrics=(replace(metric, method=words),))
        assert dark.spec == noted.decoded_by("dark")
        assert offset.spec == noted
        image = read_picture(portrait)
        between = dark.infer(image).keypoints, offset.infer(image).keypoints
    assert np.abs(between[0] - between[1]).max() > 0.1


@pytest.mark.parametrize("option", [("--decoder", "dark"), ("--box-padding", 1.5)])
def test_another_spec_of_an_int8_file_is_refused_before_any_work(
    danet: Danet, option: tuple[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = danet("convert", tmp_path / "none.pt", *option, "--precision", "fp32", "int8", "--out", out)
    assert done.status == 2
    assert f"convert to fp32 with {option[0]}, then run danet quantize" in done.err
    assert not out.exists()


# A DANet-72 of the zoo, by the names and shapes of the public checkpoints


def _bn(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{leaf}", (1, channels, 1, 1)


def _conv(name: str, channels: int, *weight: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", (1, channels, 1, 1)


def _zoo_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    transitions = (96, 192, 384, 512)
    yield from _conv("fp.head.0", 64, 64, 3, 7, 7)
    yield from _bn("fp.head.1", 64)
    channels = 64
    for stage, layers in enumerate((3, 6, 12, 12)):
        for layer in range(layers):
            for unit, out, kernel in (
                ("cau.att_conv", channels, (channels, 32, 1, 1)),
                ("mau.att_conv", 32, (32, 1, 1, 9, 9)),
                ("body_conv", 32, (32, 32, 3, 3)),
            ):
                name = f"fp.body_layer.{stage}.{layer}.{unit}"
                yield from _bn(f"{name}.0", channels)
                yield from _conv(f"{name}.2", 32, 32, channels, 1, 1)
                yield from _bn(f"{name}.3", 32)
                yield from _conv(f"{name}.5", out, *kernel)
            channels += 32
        yield from _bn(f"fp.transition_layer.{stage}.0", channels)
        channels, before = transitions[stage], channels
        yield from _conv(f"fp.transition_layer.{stage}.2", channels, channels, before, 1, 1)
    for scale in range(4):
        width = transitions[3 - scale]
        yield from _bn(f"up_convs.{scale}.0", width)
        yield from _conv(f"up_convs.{scale}.2", 128, 128, width, 1, 1)
        yield from _bn(f"out_convs.{scale}.0", 128)
        yield from _conv(f"out_convs.{scale}.2", 128, 128, 128, 1, 1)
        yield from _bn(f"out_convs.{scale}.3", 128)
        yield from _conv(f"out_convs.{scale}.5", 17, 17, 128, 3, 3)
    for scale in range(3):
        yield from _bn(f"deconvs.{scale}.0", 128)
        yield from _conv(f"deconvs.{scale}.2", 128, 128, 128, 4, 4)
        yield from _bn(f"sfus.{scale}.att_conv.0", 256)
        yield from _conv(f"sfus.{scale}.att_conv.2", 128, 128, 256, 1, 1)
        yield from _bn(f"sfus.{scale}.att_conv.3", 128)
        yield from _conv(f"sfus.{scale}.att_conv.5", 128, 128, 1, 1, 9, 9)


@pytest.fixture
def zoo_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in _zoo_shapes():
        spread = float(np.prod(shape[1:])) ** -0.5 if name.endswith("weight") and shape[0] > 1 else 0.3
        drawn = rng.uniform(0.5, 2, shape) if name.endswith("running_var") else rng.normal(0, spread, shape)
        tensors[name] = drawn.astype(np.float32)
    (tmp_path / "danet72_256x192.pkl").write_bytes(pickle.dumps({"state_dict": tensors}))
    return tmp_path / "danet72_256x192.pkl"


def test_zoo_file_is_read(danet: Danet, zoo_file: Path) -> None:
    found = json.loads(danet("info", zoo_file, "--json", "-").out)
    assert (found["checkpoint"], found["spec"]["name"], found["spec"]["preset"]) == ("zoo checkpoint", "danet72", "zoo")


@pytest.mark.slow
def test_zoo_file_at_full_size(danet: Danet, zoo_file: Path, portrait: Path, tmp_path: Path) -> None:
    outcome = danet("convert", zoo_file, "--to", "openvino", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    with PoseEstimator(tmp_path / "out" / "danet72.xml") as estimator:
        spec = estimator.spec
    assert (spec.preset, spec.input_size, spec.box_padding) == ("zoo", (256, 192), 1.1)
    assert (spec.decoder.offsets, spec.decoder.heatmap_peak) == ((0.35, 0.15, 0.05), 255.0)
    assert "Apache-2.0" in spec.licence
    same_poses(zoo_file, tmp_path / "out" / "danet72.xml", portrait)


# What cannot be done is one line


def test_wrong_combination_is_refused_before_any_work(danet: Danet, tmp_path: Path) -> None:
    # the checkpoint does not exist, which would be the first thing to notice at work
    out = tmp_path / "out"
    error = danet("convert", tmp_path / "none.safetensors", "--to", "onnx", "--precision", "fp16", "--out", out).error()
    assert "onnx in fp16: expected fp32" in error
    assert not out.exists()


@pytest.mark.parametrize("arguments", [("--to", "coreml"), ("--precision", "int4"), ("--speed",)])
def test_wrong_use(danet: Danet, tiny_checkpoint: Path, arguments: tuple[str, ...], tmp_path: Path) -> None:
    outcome = danet("convert", tiny_checkpoint, "--out", tmp_path / "out", *arguments)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".pth"])
def test_payload_is_not_run(danet: Danet, payload: Any, suffix: str, tmp_path: Path) -> None:
    model, mark = payload(suffix)
    assert model.name in danet("convert", model, "--out", tmp_path / "out").error()
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_checkpoint(danet: Danet, cut: Any, tiny_checkpoint: Path, share: float, tmp_path: Path) -> None:
    model = cut(tiny_checkpoint, ".safetensors", share)
    assert "tiny.safetensors" in danet("convert", model, "--out", tmp_path / "out").error()
    assert not (tmp_path / "out").exists()


def test_exported_file_is_no_checkpoint(danet: Danet, tiny_onnx: Path, tmp_path: Path) -> None:
    assert "tiny.onnx" in danet("convert", tiny_onnx, "--out", tmp_path / "out").error()


def test_folder_that_cannot_be_made(danet: Danet, tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert "file" in danet("convert", tiny_checkpoint, "--out", tmp_path / "file" / "out").error()
    assert (tmp_path / "file").read_text() == "precious"
