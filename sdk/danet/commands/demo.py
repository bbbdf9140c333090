"""`danet demo`: the embedded model on embedded pictures, to see that everything works."""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from danet.commands.command import Command
from danet.commands.console import human, write_json
from danet.commands.model_options import add_model_options, open_estimator
from danet.commands.pictures import write_picture
from danet.cpu import read_cpu
from danet.embedded import PORTRAIT, PORTRAIT_BOX
from danet.frame import read_picture

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator
    from danet.poses import Poses

SCENE_SEED = 20
SCENE_PERSONS = 6
TIMED_ROUNDS = 10


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="danet72", help="model file or embedded model (danet72)")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("danet-demo"), help="folder (danet-demo)")
    add_model_options(parser)


def _run(options: argparse.Namespace) -> int:
    from danet.scenes.scene import render_scene

    scene = render_scene(SCENE_SEED, (720, 1280), persons=SCENE_PERSONS)
    inputs = {"portrait": (read_picture(PORTRAIT), np.array([PORTRAIT_BOX])), "scene": (scene.image, scene.boxes)}
    console = human()
    with open_estimator(options) as estimator:
        results: dict[str, Any] = {}
        for name, (frame, boxes) in inputs.items():
            poses = estimator.infer(frame, boxes)
            target = options.out / f"{name}.png"
            write_picture(poses.draw(frame), target)
            console.print(f"{target}: {_summary(poses)}", markup=False, soft_wrap=True)
            results[name] = poses.to_dict()
        rate = _persons_per_second(estimator, *inputs["scene"])
        write_json({"model": estimator.spec.name, **results}, str(options.out / "poses.json"))
        console.print(f"{options.out / 'poses.json'}: the same as numbers", markup=False, soft_wrap=True)
        cpu = read_cpu()
        threads = estimator.settings.threads or cpu.cores
        console.print(
            f"{rate:.0f} persons per second end to end ({len(scene.boxes)} persons on a 1280x720 frame, "
            f"{estimator.precision}, {threads} threads, {cpu.name})",
            markup=False,
            soft_wrap=True,
        )
    return 0


def _summary(poses: Poses) -> str:
    return f"{len(poses)} person{'s' * (len(poses) != 1)}, mean keypoint score {poses.scores.mean():.2f}"


def _persons_per_second(estimator: PoseEstimator, frame: NDArray[np.uint8], boxes: NDArray[np.float32]) -> float:
    """Median over some rounds; `infer` has run on this frame before, so the model is warm."""
    seconds = []
    for _ in range(TIMED_ROUNDS):
        start = time.perf_counter()
        estimator.infer(frame, boxes)
        seconds.append(time.perf_counter() - start)
    return len(boxes) / statistics.median(seconds)


COMMAND = Command("demo", "Run the embedded model on embedded pictures.", _add_arguments, _run)
