"""A data set that the tiny network does perfectly in float, so that AP lost is quantization's alone."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import openvino as ov
import pytest
from rich.progress import Progress

from danet.commands import main as main_module
from danet.cpu import read_cpu
from danet.estimator import PoseEstimator
from danet.scenes.scene import render_scene
from danet_calibration import formats as formats_module
from danet_calibration.command import COMMAND
from danet_calibration.data import DataChoice
from danet_calibration.nncf_ptq import quantize_graph
from danet_calibration.quantize import Report, quantize
from danet_calibration.request import Request
from danet_calibration.watch import Watch

SIZE = (160, 160)
LENIENT = 0.6
"""AP that INT8 of random weights may lose here; a broken calibration loses nearly all of the 1.0."""
GRAPH = "graph.xml"
WriteSplit = Callable[[Path, str, range], None]
Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def write_split(tiny_ir: Path) -> WriteSplit:
    """Writes rendered pictures, two persons each, annotated with what the tiny network answers."""

    def write(folder: Path, split: str, seeds: range) -> None:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
        with PoseEstimator(tiny_ir) as estimator:
            for seed in seeds:
                scene = render_scene(seed, SIZE, persons=2)
                image, annotations = scene.to_coco(seed, 10 * seed)
                name = f"{split}-{seed}.png"
                cv2.imwrite(str(folder / "images" / name), np.asarray(scene.image))
                content["images"].append({**image, "file_name": name, "source": f"source {seed % 2}"})
                poses = estimator.infer(scene.image, scene.boxes)
                for annotation, keypoints in zip(annotations, poses.keypoints.tolist(), strict=True):
                    annotation["keypoints"] = [value for x, y in keypoints for value in (x, y, 2)]
                    content["annotations"].append({**annotation, "num_keypoints": len(keypoints)})
        (folder / f"{split}.json").write_text(json.dumps(content))

    return write


@pytest.fixture(scope="session")
def proven_folder(write_split: WriteSplit, once: Once) -> Path:
    """Splits train and val of different pictures; nobody writes to it."""

    def fill(folder: Path) -> None:
        write_split(folder, "train", range(1, 9))
        write_split(folder, "val", range(101, 109))

    return once("proven", fill)


@pytest.fixture(scope="session")
def constant_folder(proven_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but the pictures to calibrate on are all of one colour."""
    folder = shutil.copytree(proven_folder, tmp_path_factory.mktemp("calibration") / "constant")
    for path in (folder / "images").glob("train-*.png"):
        cv2.imwrite(str(path), np.full((*SIZE, 3), 128, np.uint8))
    return folder


@pytest.fixture
def watch() -> Watch:
    """Bars that nobody sees, and no limit."""
    return Watch(Progress(disable=True))


@pytest.fixture
def one_quantization(once: Once, monkeypatch: pytest.MonkeyPatch) -> None:
    """NNCF, which takes seconds, makes each graph once; for tests of what is done with it afterwards."""

    def quantized(model: Any, operations: Any, strategy: Any, calibration: Any, key: str, input_name: str) -> Any:
        def make(folder: Path) -> None:
            keep_graph(quantize_graph(model, operations, strategy, calibration, key, input_name), folder)

        return ov.Core().read_model(once(f"graph-{key}", make) / GRAPH)

    monkeypatch.setattr(formats_module, "quantize_graph", quantized)


def keep_graph(graph: ov.Model, folder: Path) -> None:
    ov.save_model(graph, folder / GRAPH, compress_to_fp16=False)


@pytest.fixture(scope="session")
def proven_run(proven_folder: Path, tiny_ir: Path, once: Once) -> Report:
    """The tiny network's IR through the gate, which lets it pass; made once, and nobody writes to its folder."""

    def quantized(model: Any, operations: Any, strategy: Any, calibration: Any, key: str, input_name: str) -> Any:
        # in any case, so that its statistics are left behind; others may take the graph
        graph = quantize_graph(model, operations, strategy, calibration, key, input_name)
        once(f"graph-{key}", lambda folder: keep_graph(graph, folder))
        return graph

    def fill(folder: Path) -> None:
        out = folder.parent / "proven-run"  # `folder` is renamed when it is full, and the report says where files are
        shutil.rmtree(out, ignore_errors=True)
        request = Request(str(tiny_ir), out, data=DataChoice(proven_folder, samples=8), max_drop=LENIENT)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(formats_module, "quantize_graph", quantized)
            report = quantize(request, Watch(Progress(disable=True)), lambda _: lambda _: None)
        (folder / "report").write_bytes(pickle.dumps(report))

    return cast("Report", pickle.loads((once("proven-run", fill) / "report").read_bytes()))


@pytest.fixture
def own_run(proven_run: Report, tmp_path: Path) -> Path:
    """Its folder, to go on in."""
    return shutil.copytree(proven_run.request.out, tmp_path / "proven-run")


@pytest.fixture
def int8_kernels() -> None:
    """Skips where OpenVINO computes in float whatever the file says."""
    if "AVX2" not in read_cpu().features:
        pytest.skip("OpenVINO's INT8 kernels are looked at on x86 with AVX2 or better")


@pytest.fixture
def quantized(watch: Watch, tmp_path: Path, tiny_ir: Path) -> Callable[..., Report]:
    """Runs `quantize` on the tiny network with few crops; arguments are the request's."""

    def run(folder: Path, *, model: Path = tiny_ir, samples: int = 8, **options: Any) -> Report:
        options.setdefault("out", tmp_path / "out")
        request = Request(str(model), data=DataChoice(folder, samples=samples), **options)
        return quantize(request, watch, lambda _: lambda _: None)

    return run


@pytest.fixture
def danet_quantize(monkeypatch: pytest.MonkeyPatch, danet: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a command line of `danet quantize` in this process, be its entry point installed or not."""
    monkeypatch.setattr(main_module, "commands", lambda: [COMMAND])
    return lambda *arguments: danet("quantize", *arguments)
