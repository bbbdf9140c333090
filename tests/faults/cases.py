"""The commands that write, each with what it writes on and who reads the result."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from danet.estimator import PoseEstimator
from danet.scenes.scene import render_scene
from danet.tuning.record import Tuning
from danet.video.file_source import FileSource
from danet.video.video_writer import VideoWriter

GOLDEN = Path(__file__).parents[1] / "compatibility" / "golden" / "version-1"
PROGRAM = Path(sys.executable).with_name("danet")
TRAINING = """
network = "danet72"
preset = "paper"
bf16 = false
workers = 0
checkpoint_minutes = 0.0
learning_rate = {rate}
[[sources]]
kind = "coco"
folder = "{folder}"
[[phases]]
input_size = [64, 64]
samples = {samples}
batch = 4
[validation]
kind = "coco"
folder = "{folder}"
split = "val"
"""


@dataclass(frozen=True)
class Case:
    """A command line; `{in}` and `{out}` are folders."""

    name: str
    new: str
    old: str
    """Makes the complete output that is there before."""
    repeatable: bool = True
    """Whether the same command gives the same bytes, so that a file can be told to be the new one."""
    slow: bool = False
    """Whether a run takes so long that only some are run again."""


CASES = (
    Case(
        "infer",
        "infer {in}/tiny.xml {in}/b.png --json {out}/poses.json --draw {out}/drawn.png",
        "infer {in}/tiny.xml {in}/a.png --json {out}/poses.json --draw {out}/drawn.png",
    ),
    Case("demo", "demo --threads 1 --out {out}", "demo --threads 1 --flip-test --out {out}"),
    Case(
        "video",
        "video {in}/tiny.xml {in}/b.avi --detector none --out {out}/out.mp4 --jsonl {out}/out.jsonl",
        "video {in}/tiny.xml {in}/a.avi --detector none --out {out}/out.mp4 --jsonl {out}/out.jsonl",
    ),
    Case(
        "convert openvino",
        "convert {in}/tiny.safetensors --to openvino --out {out}",
        "convert {in}/old.safetensors --to openvino --out {out}",
        slow=True,
    ),
    Case(
        "convert onnx",
        "convert {in}/tiny.safetensors --to onnx --out {out}",
        "convert {in}/old.safetensors --to onnx --out {out}",
        slow=True,
    ),
    Case(
        "evaluate",
        "evaluate {in}/tiny.xml --data {in}/coco --json {out}/figures.json --sheet {out}/sheet.png",
        "evaluate {in}/tiny.xml --data {in}/coco --flip-test --json {out}/figures.json --sheet {out}/sheet.png",
    ),
    Case(
        "tune",
        "tune {out}/tiny.xml --seconds 1 --persons 1 --threads 1 --save --json {out}/rows.json",
        "tune {out}/tiny.xml --seconds 1 --persons 1 --threads 1 --save --json {out}/rows.json",
        repeatable=False,
    ),
    Case(
        "quantize",
        "quantize {in}/tiny.xml --data {in}/coco --samples 4 --max-drop 0.9 --out {out} --report {out}/report.json",
        "quantize {in}/old.xml --data {in}/coco --samples 4 --max-drop 0.9 --out {out} --report {out}/report.json",
        repeatable=False,  # the report holds seconds
        slow=True,
    ),
    Case(
        "benchmark",
        "benchmark nobody --backend null --quick --only speed --persons 1 --threads 1 --out {out}",
        "benchmark nobody --backend null --quick --only speed --persons 1 --threads 1 --out {out}",
        repeatable=False,
    ),
    Case(
        "train",
        "train {in}/run.toml --threads 1 --out {out}",
        "train {in}/run.toml --threads 1 --stop-at 8 --out {out}",
        repeatable=False,  # TensorBoard's files hold times
        slow=True,
    ),
    Case(
        "convert tflite",
        "convert {in}/tiny.safetensors --to tflite --out {out}",
        "convert {in}/old.safetensors --to tflite --out {out}",
        slow=True,
    ),
)


def command_line(line: str, inputs: Path, out: Path) -> list[str]:
    """The program and its arguments."""
    return [str(PROGRAM), *(part.replace("{in}", str(inputs)).replace("{out}", str(out)) for part in line.split())]


def make_inputs(folder: Path, cases: Sequence[Case] = CASES) -> None:
    """What these commands read: the golden tiny network, one with other weights, pictures, clips and data."""
    folder.mkdir(parents=True)
    lines = " ".join(f"{case.new} {case.old}" for case in cases)
    for name in ("tiny.xml", "tiny.bin", "tiny.safetensors"):
        shutil.copy(GOLDEN / name, folder / name)
    if "{in}/old." in lines:
        _other_weights(folder)
    for name, seed in (("a", 3), ("b", 4)):
        scene = render_scene(seed, (240, 320), persons=2)
        cv2.imwrite(str(folder / f"{name}.png"), np.asarray(scene.image))
        if ".avi" in lines:
            with VideoWriter(folder / f"{name}.avi") as clip:
                for shift in range(40):
                    clip.write(np.roll(scene.image, 4 * shift, axis=1))
    if "coco" in lines or "run.toml" in lines:
        with PoseEstimator(folder / "tiny.xml", threads=1) as tiny:
            _coco(folder / "coco", tiny)
        (folder / "run.toml").write_text(TRAINING.format(rate=1e-3, folder=folder / "coco", samples=24))


def _other_weights(folder: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(folder / "tiny.safetensors", "pt") as file:
        metadata = file.metadata()
    tensors = load_file(folder / "tiny.safetensors")
    other = {name: one * 1.01 if one.is_floating_point() and one.ndim == 4 else one for name, one in tensors.items()}
    save_file(other, folder / "old.safetensors", metadata)
    shutil.copy(folder / "tiny.xml", folder / "old.xml")
    shutil.copy(folder / "tiny.bin", folder / "old.bin")
    text = (folder / "old.xml").read_text().replace("made up", "made up, as another model has it")
    (folder / "old.xml").write_text(text)


def _coco(folder: Path, tiny: PoseEstimator) -> None:
    """Two splits of three pictures, annotated with what the tiny network answers, so that its AP is 1.

    None is in both: the quantizer refuses to measure on what it calibrated with.
    """
    (folder / "images").mkdir(parents=True)
    for split, first in (("train", 1), ("val", 11)):
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(first, first + 3):
            scene = render_scene(number, (160, 160), persons=2)
            image, found = scene.to_coco(number, len(annotations) + 1)
            for one, keypoints in zip(found, tiny.infer(scene.image, scene.boxes).keypoints.tolist(), strict=True):
                one.update(keypoints=[value for x, y in keypoints for value in (x, y, 2)], num_keypoints=len(keypoints))
            images.append({**image, "file_name": f"{number}.png"})
            annotations += found
            cv2.imwrite(str(folder / "images" / f"{number}.png"), np.asarray(scene.image))
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
        (folder / f"{split}.json").write_text(json.dumps(content))


def read_whole(path: Path) -> None:
    """Open a file with its own reader, to its end; raises whatever that raises on half a file."""
    reader = _READERS.get(path.suffix)
    if path.name.endswith(".tuning.json"):
        reader = _tuning
    if reader is not None:
        reader(path)
    elif not path.name.startswith("events.out.tfevents"):  # TensorBoard's own, appended to; its reader skips a tail
        raise ValueError(f"{path}: nobody knows this file")


def _model(path: Path) -> None:
    with PoseEstimator(path, threads=1) as estimator:
        assert estimator.infer(np.zeros((64, 48, 3), np.uint8)).keypoints.shape == (1, 17, 2)


def _picture(path: Path) -> None:
    # imdecode repairs; a cut PNG lacks its end
    assert path.read_bytes()[-8:-4] == b"IEND"
    assert cv2.imread(str(path)) is not None


def _lines(path: Path) -> None:
    """The weaker promise of JSON Lines: whole lines but for the last one."""
    for line in path.read_text().split("\n")[:-1]:
        assert json.loads(line)["frame"] >= 0


def _video(path: Path) -> None:
    with FileSource(path) as source:
        assert sum(1 for _ in source) > 0


def _tuning(path: Path) -> None:
    Tuning.from_json(path.read_text())


def _json(path: Path) -> None:
    json.loads(path.read_text())


def _state(path: Path) -> None:
    import torch

    assert torch.load(path, weights_only=True)["samples_seen"] >= 8


def _checkpoint(path: Path) -> None:
    from safetensors.torch import load_file

    assert load_file(path)


def _csv(path: Path) -> None:
    text = path.read_text()
    assert text.endswith("\n")
    assert len({len(row) for row in csv.reader(text.splitlines())}) == 1


def _text(path: Path) -> None:
    assert path.read_text().rstrip()


def _page(path: Path) -> None:
    assert path.read_text().rstrip().endswith("</html>")


_READERS: dict[str, Callable[[Path], None]] = {
    ".xml": _model,
    ".bin": lambda path: _model(path.with_suffix(".xml")) if path.with_suffix(".xml").exists() else None,
    ".onnx": _model,
    ".tflite": _model,
    ".png": _picture,
    ".jsonl": _lines,
    ".mp4": _video,
    ".json": _json,
    ".pt": _state,
    ".safetensors": _checkpoint,
    ".csv": _csv,
    ".md": _text,
    ".html": _page,
}
