"""Makes the golden files of the ModelSpec format that the imported code writes: see golden/README.md.

Run from a checkout whose files are to be kept, never to renew files that are kept already:

    PYTHONPATH=sdk:evaluation:network:training:converters:calibration:benchmarks \
        python tests/compatibility/make_golden.py FOLDER
"""

from __future__ import annotations

import gzip
import json
import pickle
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.progress import Progress

from danet.estimator import PoseEstimator
from danet.model_spec import FORMAT_VERSION, DecoderSpec, Metric, ModelSpec
from danet.scenes.scene import render_scene
from danet_calibration.data import DataChoice
from danet_calibration.quantize import quantize
from danet_calibration.request import Request
from danet_calibration.watch import Watch
from danet_converters.export import TARGETS, export_all
from danet_converters.parity import sample_crops
from danet_network.checkpoint import load_checkpoint, save_checkpoint
from danet_network.config import DANetConfig, danet_config
from danet_network.model import DANet
from danet_network.normalise import Normalise
from danet_network.weights import expected_shapes
from danet_network.zoo import _tensor_names

NEWER = {2: {"refinement": "dark", "offsets": ()}}
"""Decoder fields of each format version that a file of the version before cannot express."""
SPEC = ModelSpec(
    name="tiny",
    input_size=(128, 96),
    box_padding=1.2,
    decoder=DecoderSpec(blur_kernel=9, heatmap_peak=2.0, **NEWER.get(FORMAT_VERSION, {})),  # type: ignore[arg-type]
    metrics=(Metric("AP", 0.25, "nowhere/val", "made up"),),
    licence="CC0",
    training_data="none: random weights",
)
CONFIG = replace(
    danet_config("danet72"),
    name="tiny",
    layers=(1, 1, 1, 1),
    transitions=(8, 8, 8, 8),
    decoder_width=8,
    growth=8,
    bottleneck=8,
)
SEED = 3
LIBRARIES = (
    "danet-edge",
    "numpy",
    "opencv-python",
    "openvino",
    "onnxruntime",
    "onnx",
    "torch",
    "ai-edge-litert",
    "nncf",
)


def network() -> DANet:
    """Random weights; BN statistics of pictures, so that heatmaps have shape."""
    made = DANet(CONFIG).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if tensor.is_floating_point() and not name.endswith("running_var"):
                tensor.normal_(0, tensor[0].numel() ** -0.5 if tensor.ndim == 4 else 0.5, generator=generator)
        norms = [module for module in made.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        made.train()(Normalise(SPEC)(torch.from_numpy(sample_crops(SPEC, seed=5))))
    return made.eval()


def write_checkpoints(folder: Path) -> Path:
    """The native file, and the same network as `torch.save` writes it."""
    made = network()
    native = folder / "tiny.safetensors"
    save_checkpoint(native, made, SPEC)
    content = {"config": CONFIG.to_dict(), "spec": SPEC.to_json(), "model": made.state_dict()}
    torch.save(content, folder / "tiny.pt")
    torch.save(training_state(content, made), folder / "tiny-training-state.pt")
    return native


def training_state(content: dict[str, Any], made: DANet) -> dict[str, Any]:
    """As the training loop keeps it; the average is the network to open, not the last step's weights."""
    average = {f"module.{name}": tensor for name, tensor in made.state_dict().items()}
    last = {name: torch.zeros_like(tensor) for name, tensor in made.state_dict().items()}
    counted = {"average": {"n_averaged": torch.tensor(3), **average}, "model": last, "samples_seen": 768}
    return {**content, **counted, "optimizers": {"adam": torch.optim.Adam(made.parameters()).state_dict()}}


def write_exports(native: Path, folder: Path) -> None:
    """In every precision for the first version; later ones differ in the spec alone."""
    targets = [target for target in TARGETS if FORMAT_VERSION == 1 or target.label == "fp32"]
    for _ in export_all(native, targets, folder):
        pass


def write_quantized(native: Path, folder: Path) -> None:
    """INT8 through the gate, on pictures that are annotated with what the float file answers."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        for split, seeds in (("train", range(1, 9)), ("val", range(101, 109))):
            _write_split(native, data, split, seeds)
        for source, format_name in (("tiny.xml", "openvino"), ("tiny.onnx", "onnx")):
            request = Request(
                str(folder / source),
                data / "out",
                formats=(format_name,),
                data=DataChoice(data, samples=8),
                max_drop=0.8,
            )
            (outcome,) = quantize(request, Watch(Progress(disable=True)), lambda _: lambda _: None).outcomes
            print(format_name, "int8: AP", [attempt.ap for attempt in outcome.attempts])
            assert outcome.written is not None, outcome.reason
            for path in data.glob("out/tiny-int8.*"):
                path.replace(folder / path.name)


def _write_split(native: Path, folder: Path, split: str, seeds: range) -> None:
    (folder / "images").mkdir(exist_ok=True)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    with PoseEstimator(native) as estimator:
        for seed in seeds:
            scene = render_scene(seed, (160, 160), persons=2)
            image, annotations = scene.to_coco(seed, 10 * seed)
            name = f"{split}-{seed}.png"
            cv2.imwrite(str(folder / "images" / name), np.asarray(scene.image))
            content["images"].append({**image, "file_name": name, "source": f"source {seed % 2}"})
            poses = estimator.infer(scene.image, scene.boxes)
            for annotation, points in zip(annotations, poses.keypoints.tolist(), strict=True):
                triples = [value for x, y in points for value in (x, y, 2)]
                content["annotations"].append({**annotation, "keypoints": triples, "num_keypoints": len(points)})
    (folder / f"{split}.json").write_text(json.dumps(content))


def zoo_arrays(config: DANetConfig) -> Iterator[tuple[str, Any]]:
    """A network in the zoo's names and shapes, whose weights repeat, so that the file packs to little.

    The zoo has no tiny networks: its loader takes the family's members only.
    """
    tile = np.random.default_rng(SEED).choice((-1.0, 0.0, 1.0), 997)
    names = _tensor_names(config)
    for zoo, ours in names.items():
        if zoo.endswith("num_batches_tracked"):
            continue  # which the zoo does not keep
        shape = expected_shapes(config)[ours]
        if len(shape) == 4:
            array = np.resize(tile, shape) * 2.0 ** -round(np.log2(np.prod(shape[1:])) / 2)
            if zoo.startswith("out_convs") and shape[0] == config.keypoints:
                array *= 512  # the zoo's peaks are 255 high
            if shape[1] == 1:
                array = array[:, None]  # the zoo's form of depthwise weights
        elif zoo.endswith(("running_var", ".weight")):
            array = np.ones((1, *shape, 1, 1))
        else:
            array = np.resize(tile, (1, *shape, 1, 1)) * 0.25
        yield zoo, array.astype(np.float32)


def write_zoo(folder: Path) -> None:
    """A pickle as the zoo's, compressed: plain it has 14 MB."""
    arrays = dict(zoo_arrays(danet_config("danet72", "zoo")))
    data = pickle.dumps({"epoch": 1, "state_dict": arrays}, protocol=4)
    (folder / "zoo-danet72.pkl.gz").write_bytes(gzip.compress(data, 9, mtime=0))


def write_expected(model: Path, opened: Path, frame: Any, boxes: Any) -> None:
    """The poses that a model file gives today, beside it."""
    with PoseEstimator(opened) as estimator:
        poses = estimator.infer(frame, boxes)
        content = {
            "file": model.name,
            "precision": estimator.precision,
            "boxes": boxes,
            "keypoints": np.round(poses.keypoints.astype(np.float64), 4).tolist(),
            "scores": np.round(poses.scores.astype(np.float64), 6).tolist(),
            "made_with": made_with(),
        }
    model.with_name(model.name + ".expected.json").write_text(json.dumps(content) + "\n")


def made_with() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main(folder: Path) -> None:
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are never made anew; name a new folder")
    torch.set_num_threads(1)
    frame_file = folder.parent / "frame.png"
    if not frame_file.exists():
        scene = render_scene(11, (240, 320), persons=3)
        frame_file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(frame_file), np.asarray(scene.image), [cv2.IMWRITE_PNG_COMPRESSION, 9])
        (folder.parent / "boxes.json").write_text(json.dumps(np.round(scene.boxes, 1).tolist()) + "\n")
    frame, boxes = cv2.imread(str(frame_file)), json.loads((folder.parent / "boxes.json").read_text())
    folder.mkdir()
    native = write_checkpoints(folder)
    write_exports(native, folder)
    if FORMAT_VERSION == 1:
        write_quantized(native, folder)
        write_zoo(folder)
    (folder / "model_spec.json").write_text(load_checkpoint(native)[1].to_json() + "\n")
    for path in sorted(folder.iterdir()):
        if path.stem == "tiny-training-state":
            write_expected(path, native, frame, boxes)
        elif path.suffix in (".safetensors", ".pt", ".onnx", ".xml", ".tflite"):
            write_expected(path, path, frame, boxes)
        elif path.suffix == ".gz":
            with tempfile.TemporaryDirectory() as scratch:
                plain = Path(scratch) / path.stem
                plain.write_bytes(gzip.decompress(path.read_bytes()))
                write_expected(path, plain, frame, boxes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
