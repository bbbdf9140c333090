"""AP of the averaged weights during training, and the checkpoints worth keeping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from danet.estimator import PoseEstimator
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.evaluate import evaluate
from danet_network.checkpoint import save_checkpoint
from danet_network.runner import TorchRunner
from danet_training.config import Phase
from danet_training.loop import Trainer

LAST, BEST = "last.safetensors", "best.safetensors"


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
        self.best: dict[tuple[int, int], float] = {}

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
            save_checkpoint(self.folder / BEST, network, spec)
        return ap
