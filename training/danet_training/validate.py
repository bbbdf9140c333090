"""AP of the averaged weights during training, and the checkpoints worth keeping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from danet.estimator import PoseEstimator
from danet.model_spec import Metric
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.evaluate import evaluate
from danet_network.checkpoint import load_checkpoint, save_checkpoint
from danet_network.runner import TorchRunner
from danet_training.config import Phase
from danet_training.loop import Trainer

LAST, BEST = "last.safetensors", "best.safetensors"
AP = "AP"
"""Name of the metric in the spec of the best weights."""


class Validator:
    """Measures AP with the evaluator that the benchmark uses, and keeps the last and the best weights.

    Args:
        dataset: what to measure on; None keeps only the last weights.
        folder: where checkpoints go.
        flip_test: average with the mirrored crops.
    """

    def __init__(self, dataset: KeypointDataset | None, folder: Path, flip_test: bool = False) -> None:
        self.dataset = dataset
        self.folder = folder
        self.flip_test = flip_test
        self.best = _kept(folder / BEST)

    def __call__(self, trainer: Trainer, phase: Phase) -> float | None:
        """AP at the phase's crop size, or None without a data set. "Best" compares one size with itself."""
        spec = replace(trainer.spec, input_size=phase.input_size)
        network = trainer.averaged_network()
        network.eval()
        save_checkpoint(self.folder / LAST, network, spec)
        if self.dataset is None:
            return None
        with PoseEstimator(
            spec.name, spec=spec, backend=TorchRunner(network, spec), batch_size=32, flip_test=self.flip_test
        ) as estimator:
            ap = evaluate(estimator, self.dataset).figures.ap
        if ap >= self.best.get(phase.input_size, 0.0):
            self.best[phase.input_size] = ap
            metric = Metric(AP, ap, self.dataset.name, "averaged weights during training, annotated boxes")
            save_checkpoint(self.folder / BEST, network, replace(spec, metrics=(metric,)))
        return ap


def _kept(path: Path) -> dict[tuple[int, int], float]:
    """The AP by crop size of the best weights that an earlier part of this run has kept."""
    if not path.is_file():
        return {}
    _, spec = load_checkpoint(path)
    values = [metric.value for metric in spec.metrics if metric.name == AP]
    return {spec.input_size: max(values)} if values else {}
