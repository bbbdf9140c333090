"""`danet train`: a training run from a TOML file, resumable at any time."""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danet.commands.command import Command
from danet.commands.console import human, progress_bar
from danet.commands.option_types import positive
from danet.errors import InputError, MissingExtraError, TrainingError

if TYPE_CHECKING:
    import torch

    from danet_training.config import Phase, TrainConfig
    from danet_training.loop import Trainer
    from danet_training.processes import Processes
    from danet_training.validate import Validated

LOG_SECONDS = 30.0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="TOML file; training/configs has examples")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="states, checkpoints and logs")
    parser.add_argument("--init", metavar="CHECKPOINT", type=Path, help="start from these weights")
    parser.add_argument(
        "--stop-at",
        metavar="SAMPLES",
        type=positive,
        help="save and end at this count; the same command without it, or with a larger number, goes on",
    )
    parser.add_argument("--threads", metavar="N", type=positive, help="cores for torch (all)")


def _run(options: argparse.Namespace) -> int:
    try:
        import torch
        import torch.utils.tensorboard
    except ModuleNotFoundError as error:
        raise MissingExtraError("danet train", "train", error.name or "torch") from error
    from danet_training.config import load_config
    from danet_training.processes import joined_processes

    if options.threads:
        torch.set_num_threads(options.threads)
    config = load_config(options.config)
    with joined_processes() as (processes, device):
        trainer = _trainer(config, options, device, processes)
        before = trainer.samples_seen
        _train(trainer, options.out, options.stop_at)
        if processes.first:
            nothing = ", nothing left to do" if trainer.samples_seen == before else ""
            human().print(f"{options.out}: {trainer.samples_seen} samples seen{nothing}", markup=False, soft_wrap=True)
    return 0


def _train(trainer: Trainer, folder: Path, stop_at: int | None) -> None:
    """The run, watched by the first process."""
    from torch.utils.tensorboard import SummaryWriter

    from danet_training.loop import train
    from danet_training.validate import Validator

    config = trainer.config
    if not trainer.processes.first:
        train(trainer, folder, lambda seen, loss: None, lambda trainer, phase: None, stop_at)
        return
    seen = trainer.samples_seen
    validator = Validator(_validation_set(config), folder, config.flip_test, resumed=seen > 0)
    # what a killed part of the run has logged beyond its last state, this one logs again
    with SummaryWriter(str(folder), purge_step=seen + 1) as board, progress_bar() as bar:
        reporter = _Reporter(board, bar, trainer)

        def validate(trainer: Trainer, phase: Phase) -> None:
            start = time.monotonic()
            reporter.validated(validator(trainer, phase), phase)
            reporter.waited(time.monotonic() - start)

        train(trainer, folder, reporter.step, validate, stop_at)


def _trainer(config: TrainConfig, options: argparse.Namespace, device: torch.device, processes: Processes) -> Trainer:
    """A trainer that continues the state in the output folder, starts from a checkpoint, or from nothing."""
    from danet_training.loop import STATE, Trainer, training_spec

    trainer = Trainer(config, training_spec(config), device, processes)
    state = options.out / STATE
    if state.exists():
        trainer.load(state)
        if processes.first:
            unread = "; --init is not read: give another --out to start from it" if options.init else ""
            human().print(f"{state}: goes on from {trainer.samples_seen} samples{unread}", markup=False, soft_wrap=True)
    elif options.init:
        trainer.start_from(options.init)
    elif config.frozen_batch_norm or config.frozen:
        kept = "frozen_batch_norm keeps the statistics" if config.frozen_batch_norm else "frozen keeps parts"
        raise InputError(
            f"{options.config}: {kept} of trained weights, and a run from nothing has none; name a checkpoint with "
            "--init, or leave the entry out"
        )
    if not processes.agree((trainer.samples_seen, _digest(trainer))):
        raise TrainingError(
            f"{options.out}: the processes of this run do not start from the same weights; every machine must see the "
            f"same folder with its {STATE}, and the same file of --init"
        )
    return trainer


def _digest(trainer: Trainer) -> str:
    """Of the weights, bit by bit."""
    digest = hashlib.sha256()
    for tensor in trainer.model.state_dict().values():
        digest.update(tensor.cpu().contiguous().view(-1).numpy().data)
    return digest.hexdigest()


def _validation_set(config: TrainConfig) -> Any:
    from danet_evaluation.coco import load_split
    from danet_evaluation.keypoint_ap import keypoint_ap
    from danet_evaluation.rendered import rendered_dataset
    from danet_training.dataset import refuse_unfit

    source = config.validation
    if source is None:
        return None
    if source.kind == "rendered":
        return rendered_dataset(source.persons)
    dataset = load_split(Path(source.folder), source.split or "val")
    refuse_unfit(dataset)
    keypoint_ap(dataset, ())  # annotations that AP cannot be measured on are refused now, not after the first phase
    return dataset


class _Reporter:
    """Progress for people, scalars for TensorBoard."""

    def __init__(self, board: Any, bar: Any, trainer: Trainer) -> None:
        self._board = board
        self._bar = bar
        self._trainer = trainer
        self._task = bar.add_task("samples", total=trainer.config.total_samples, completed=trainer.samples_seen)
        self._losses: list[torch.Tensor] = []
        self._logged = time.monotonic()
        self._logged_samples = trainer.samples_seen

    def step(self, seen: int, loss: torch.Tensor) -> None:
        """After each optimiser step; the losses are read when they are logged, since reading waits for the device."""
        self._losses.append(loss)
        self._bar.update(self._task, completed=seen)
        elapsed = time.monotonic() - self._logged
        if elapsed < LOG_SECONDS:
            return
        mean, rate = (
            sum(loss.item() for loss in self._losses) / len(self._losses),
            (seen - self._logged_samples) / elapsed,
        )
        self._board.add_scalar("loss", mean, seen)
        self._board.add_scalar("samples_per_second", rate, seen)
        self._board.add_scalar("schedule", self._trainer.schedule(), seen)
        human().print(f"{seen} samples, loss {mean:.6f}, {rate:.1f}/s", markup=False)
        self._losses.clear()
        self._logged, self._logged_samples = time.monotonic(), seen

    def waited(self, seconds: float) -> None:
        """Time that is not training's."""
        self._logged += seconds

    def validated(self, found: Validated | None, phase: Phase) -> None:
        """After each validation."""
        if found is None:
            return
        seen = self._trainer.samples_seen
        self._board.add_scalar("val/AP", found.ap, seen)
        self._board.add_image("val/predictions", found.sheet[..., ::-1], seen, dataformats="HWC")
        size = "x".join(map(str, phase.input_size))
        human().print(f"{seen} samples, AP {found.ap:.4f} at {size}", markup=False)


COMMAND = Command("train", "Train a network from a TOML config.", _add_arguments, _run)
