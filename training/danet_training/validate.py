"""AP of the averaged weights during training, and the checkpoints worth keeping."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danet.estimator import PoseEstimator
from danet.model_spec import Metric
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.compare import stated_flip_test
from danet_evaluation.evaluate import run
from danet_evaluation.sheet import contact_sheet
from danet_network.checkpoint import load_checkpoint, save_checkpoint
from danet_network.runner import TorchRunner
from danet_training.config import Phase
from danet_training.loop import Trainer

LAST, BEST = "last.safetensors", "best.safetensors"
SHEET_PERSONS = 16
AP = "AP"
"""Name of the metric in the spec of the best weights."""


@dataclass(frozen=True, eq=False)
class Validated:
    """What one validation found."""

    ap: float
    sheet: NDArray[np.uint8]
    """(H, W, 3) uint8 BGR: persons from the worst OKS to the best, see `danet_evaluation.sheet`."""


class Validator:
    """Measures AP with the evaluator that the benchmark uses, and keeps the last and the best weights.

    Args:
        dataset: what to measure on; None keeps only the last weights.
        folder: where checkpoints go.
        flip_test: average with the mirrored crops.
        resumed: the run has a past, whose best weights in the folder are to be beaten. Else they are of another run,
            and get another name: this one may be killed before it has any.
    """

    def __init__(
        self, dataset: KeypointDataset | None, folder: Path, flip_test: bool = False, *, resumed: bool = False
    ) -> None:
        self.dataset = dataset
        self.folder = folder
        self.flip_test = flip_test
        if not resumed and (folder / BEST).exists():
            names = (folder / f"{Path(BEST).stem}.{number}.safetensors" for number in count(1))
            (folder / BEST).rename(next(path for path in names if not path.exists()))
        self.best = {} if dataset is None else _kept(folder / BEST, dataset, flip_test)

    def __call__(self, trainer: Trainer, phase: Phase) -> Validated | None:
        """AP and pictures at the phase's crop size, None without data. "Best" compares one size with itself."""
        spec = replace(trainer.spec, input_size=phase.input_size)
        network = trainer.averaged_network()
        network.eval()
        save_checkpoint(self.folder / LAST, network, spec)
        if self.dataset is None:
            return None
        with PoseEstimator(
            spec.name, spec=spec, backend=TorchRunner(network, spec), batch_size=32, flip_test=self.flip_test
        ) as estimator:
            done = run(estimator, self.dataset)
        ap = done.evaluation.figures.ap
        if ap >= self.best.get(phase.input_size, 0.0):
            self.best[phase.input_size] = ap
            flipped = "flip test" if self.flip_test else "no flip test"
            method = f"averaged weights during training, annotated boxes, {flipped}"
            metric = Metric(AP, ap, _data(self.dataset), method)
            save_checkpoint(self.folder / BEST, network, replace(spec, metrics=(metric,)))
        return Validated(ap, contact_sheet(self.dataset, done.predictions, spec, SHEET_PERSONS))


def _kept(path: Path, dataset: KeypointDataset, flip_test: bool) -> dict[tuple[int, int], float]:
    """The AP by crop size of the best weights that an earlier part of this run has kept, if measured alike."""
    if not path.is_file():
        return {}
    _, spec = load_checkpoint(path)
    names = (_data(dataset), dataset.name)  # the latter was written until 2026-11-28
    alike = [one for one in spec.metrics if one.name == AP and stated_flip_test(one.method) in (None, flip_test)]
    values = [metric.value for metric in alike if metric.data in names]
    return {spec.input_size: max(values)} if values else {}


def _data(dataset: KeypointDataset) -> str:
    """With the number of persons, by which `recorded_ap` tells a whole data set from a part."""
    return f"{dataset.name}, {len(dataset.persons)} persons"
