"""Files that earlier versions wrote open with today's code, and say what they said.

The files under golden/ are never changed, only added to: golden/README.md.
"""

from __future__ import annotations

import gzip
import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from danet.cpu import CPUINFO, read_cpu
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet.poses import Poses
from danet.tuning.record import Tuning
from danet.video.frame import Frame
from danet.video.json_lines import JsonLinesWriter
from danet.video.result import FramePoses

GOLDEN = Path(__file__).parent / "golden"
TEXTS = GOLDEN / "texts"
LIBRARY = {".onnx": "onnxruntime", ".safetensors": "torch", ".pt": "torch", ".gz": "torch", ".tflite": "ai_edge_litert"}
"""By suffix of a model file, the library of an extra that opens it."""

ENGINE = {".xml": "openvino", ".onnx": "onnxruntime", ".tflite": "ai-edge-litert"}
"""By suffix, the package that computes."""


@dataclass(frozen=True)
class Tolerance:
    """How far a file's answer may lie from the one that it gave when it was made."""

    pixels: float
    """Of the frame; of the keypoints that may not move."""
    score: float
    moved: float = 0.0
    """Share of the keypoints that may lie elsewhere altogether."""


FLOAT = Tolerance(0.05, 1e-4)
"""Backends and CPUs sum in other orders, which moves responses by 1e-6; parity tests allow 0.05 px too."""
HALF = Tolerance(0.05, 0.005)
"""Half-precision weights cost 0.0015 of a score where a backend keeps float32 sums, and no keypoint moves here;
a CPU or a version that sums in half precision doubles or triples that."""
INTEGER = Tolerance(0.05, 0.25, moved=0.25)
"""Responses are steps of 1/255 of a layer's range: the random network's many near ties may turn the other way where
rounding or saturation of 8-bit products differ, as between CPUs with VNNI and without, or between backends."""
INTEGER_AS_MADE = Tolerance(0.05, 0.01, moved=0.02)
"""On a CPU of the kind that the answers were made on, AVX2 without VNNI, by the versions of constraints.txt: none moved
there, and no score differed."""


def _models(folder: str = "version-*") -> list[Any]:
    found = sorted(path.with_name(path.name.removesuffix(".expected.json")) for path in GOLDEN.glob(f"{folder}/*.json"))
    models = [path for path in found if path.name != "model_spec.json"]
    return [
        pytest.param(
            path,
            id=f"{path.parent.name}-{path.name}",
            marks=pytest.mark.needs(LIBRARY[path.suffix]) if path.suffix in LIBRARY else (),
        )
        for path in models
    ]


def tolerance(name: str, *, same_backend: bool = True) -> Tolerance:
    if "int8" not in name:
        return HALF if "fp16" in name else FLOAT
    features = read_cpu().features
    if platform.machine().lower() in ("x86_64", "amd64") and CPUINFO.exists() and "AVX2" not in features:
        pytest.skip("INT8 products without AVX2 give other keypoints: docs/faults.md, Fewer instructions")
    as_made = same_backend and "AVX2" in features and not any("VNNI" in one for one in features)
    return INTEGER_AS_MADE if as_made and _is_pinned(ENGINE[Path(name).suffix]) else INTEGER


def _is_pinned(package: str) -> bool:
    """Whether a package has the version of constraints.txt: ONNX Runtime 1.18 rounds 8-bit products otherwise."""
    pins = (GOLDEN.parents[2] / "constraints.txt").read_text(encoding="utf-8").split()
    return f"{package}=={version(package)}" in pins


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(GOLDEN / "frame.png")), np.uint8)


def opened(path: Path, folder: Path) -> Path:
    """The file itself, or what it holds where it is kept compressed."""
    if path.suffix != ".gz":
        return path
    plain = folder / path.stem
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    return plain


def check(poses: Poses, expected: dict[str, Any], allowed: Tolerance) -> None:
    distances = np.linalg.norm(poses.keypoints - np.array(expected["keypoints"]), axis=2)
    moved = float((distances > allowed.pixels).mean())
    off = float(np.abs(poses.scores - np.array(expected["scores"])).max())
    print(f"{expected['file']}: largest distance {distances.max():.2g} px, {moved:.1%} moved, scores off by {off:.2g}")
    assert moved <= allowed.moved
    assert off <= allowed.score


@pytest.mark.parametrize("path", _models())
def test_model_file(path: Path, frame: NDArray[np.uint8], tmp_path: Path) -> None:
    expected = json.loads(path.with_name(path.name + ".expected.json").read_text())
    with PoseEstimator(opened(path, tmp_path), threads=1) as estimator:
        assert estimator.precision == expected["precision"]
        assert f"version-{estimator.spec.format_version}" == path.parent.name or path.suffix == ".gz"
        check(estimator.infer(frame, expected["boxes"]), expected, tolerance(path.name))


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny-int8.onnx"])
def test_onnx_in_openvino(name: str, frame: NDArray[np.uint8]) -> None:
    path = GOLDEN / "version-1" / name
    expected = json.loads(path.with_name(f"{name}.expected.json").read_text())
    with PoseEstimator(path, backend="openvino", threads=1) as estimator:
        check(estimator.infer(frame, expected["boxes"]), expected, tolerance(name, same_backend=False))


def test_every_format_is_there() -> None:
    """A format that is added gets a golden file as well."""
    from danet.backends.registry import SUFFIXES

    kept = {Path(path.name.removesuffix(".gz")).suffix for path in GOLDEN.glob("version-1/*")}
    assert set(SUFFIXES) - {".pth", ".ckpt"} <= kept  # .pt by other names


@pytest.mark.parametrize("folder", sorted(path.name for path in GOLDEN.glob("version-*")))
def test_spec_says_what_it_said(folder: str) -> None:
    text = (GOLDEN / folder / "model_spec.json").read_text()
    spec = ModelSpec.from_json(text)
    assert folder == f"version-{spec.format_version}"
    contains(json.loads(json.dumps(asdict(spec))), json.loads(text), "spec")
    # what an older danet reads is still what is written for it
    assert json.loads(spec.to_json()) == json.loads(text)


# Text files that are read back


def test_tuning() -> None:
    text = (TEXTS / "tuning-1.json").read_text()
    contains(json.loads(Tuning.from_json(text).to_json()), json.loads(text), "tuning")


@pytest.mark.parametrize("path", sorted(TEXTS.glob("benchmark-report-*.json")), ids=lambda path: path.stem)
def test_benchmark_report(path: Path) -> None:
    from danet_benchmarks.report.json_form import load_report, to_json

    kept = json.loads(path.read_text())
    del kept["format_version"]  # is today's once it is read
    contains(json.loads(to_json(load_report(path))), kept, "report")


# Text files that other programs read


def poses() -> Poses:
    """Those that the golden files were written of."""
    keypoints = (np.arange(2 * 17 * 2, dtype=np.float32).reshape(2, 17, 2) * 1.5 + 0.123).astype(np.float32)
    scores = np.arange(34, dtype=np.float32).reshape(2, 17) / 40
    boxes = np.array([[1, 2, 51.25, 90.5], [10, 20, 60, 100]], np.float32)
    return Poses(keypoints, scores.astype(np.float32), boxes)


def test_poses_as_json() -> None:
    contains(json.loads(poses().to_json()), json.loads((TEXTS / "poses.json").read_text()), "poses")


def test_poses_in_cocos_form() -> None:
    kept = json.loads((TEXTS / "coco-results.json").read_text())
    contains(json.loads(json.dumps(poses().to_coco(42, [0.5, 1.0]))), kept, "results")


def test_json_lines(tmp_path: Path) -> None:
    persons = poses()
    tracked = Poses(persons.keypoints, persons.scores, persons.boxes, ids=np.array([3, 7]))
    picture = np.zeros((120, 160, 3), np.uint8)
    with JsonLinesWriter(tmp_path / "frames.jsonl") as writer:
        writer.write(FramePoses(Frame(picture, 0, 0.0), persons[:0], True, 0.01))
        writer.write(FramePoses(Frame(picture, 1, 1 / 30, "b.png"), tracked, True, 0.01))
    written, kept = ((folder / "frames.jsonl").read_text().splitlines() for folder in (tmp_path, TEXTS))
    contains([json.loads(line) for line in written], [json.loads(line) for line in kept], "lines")


def contains(found: Any, kept: Any, where: str) -> None:
    """Whether all that was kept is still there, with its value; new entries of objects are welcome."""
    if isinstance(kept, dict):
        assert kept.keys() <= found.keys(), f"{where}: lost {sorted(kept.keys() - found.keys())}"
        for key, value in kept.items():
            contains(found[key], value, f"{where}: {key}")
    elif isinstance(kept, list):
        assert len(found) == len(kept), where
        for index, (one, other) in enumerate(zip(found, kept, strict=True)):
            contains(one, other, f"{where}[{index}]")
    else:
        assert found == (pytest.approx(kept, rel=1e-6) if isinstance(kept, float) else kept), where
