"""The training loop: phases of growing crops, EMA of weights, checkpoints that survive a kill."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from danet.errors import InputError, ModelFileError, TrainingError
from danet.files import write_beside
from danet.model_spec import ModelSpec
from danet_network.checkpoint import load_checkpoint
from danet_network.config import danet_config
from danet_network.model import STRIDE, DANet
from danet_network.normalise import Normalise
from danet_network.zoo import preset_spec
from danet_training.arithmetic import computes_bf16
from danet_training.average import WarmedUpAverage
from danet_training.config import Phase, TrainConfig
from danet_training.conventions import refuse_other_conventions
from danet_training.dataset import Batch, NumberedSamples, SampleMaker
from danet_training.device_samples import DeviceSamples
from danet_training.memory import memory_needed
from danet_training.optimizers import Optimizers
from danet_training.processes import ALONE, Processes
from danet_training.targets import total_loss
from danet_training.teacher import open_teacher

STATE = "last.pt"
"""The newest training state in a run's folder."""


def training_spec(config: TrainConfig) -> ModelSpec:
    """The spec of the model that a run makes, of its last phase's crops."""
    spec = preset_spec(danet_config(config.network, config.preset))
    return replace(
        spec,
        input_size=config.phases[-1].input_size,
        box_padding=spec.box_padding if config.box_padding is None else config.box_padding,
        licence=config.licence,
        training_data=config.training_data,
    )


def _choose_algorithms(deterministic: bool) -> None:
    """Set for the whole process which of its algorithms torch may use."""
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = False
    if deterministic:
        # read by cuBLAS when it starts; without it torch refuses its matrix products (CUDA's notes on reproducibility)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


class Trainer:
    """Owns the model, its average, the optimiser and the count of samples seen."""

    def __init__(
        self, config: TrainConfig, spec: ModelSpec, device: torch.device, processes: Processes = ALONE
    ) -> None:
        torch.manual_seed(config.seed)
        _choose_algorithms(config.deterministic)
        self.processes = processes
        self.config = config
        self.spec = spec
        self.device = device
        self._bf16 = config.bf16 and computes_bf16(device)
        network = DANet(danet_config(config.network, config.preset)).to(device)
        self.model: DANet = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._frozen = _frozen_modules(self.model, config.frozen)
        for module in self._frozen:
            module.requires_grad_(False)
        self._supervised = _supervised(self.model, processes)
        self.average = WarmedUpAverage(self.model, config.ema_decay)
        self.optimizers = Optimizers(self.model, config)
        self.samples_seen = 0
        self.normalise = Normalise(spec).to(device)
        self.teacher = open_teacher(config.teacher, spec, [phase.input_size for phase in config.phases])

    def set_training_mode(self) -> None:
        """Of the model; its batch norms and other modules stay in evaluation mode where the config freezes them."""
        self.model.train()
        if self.config.frozen_batch_norm:
            for module in self.model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        for module in self._frozen:
            module.eval()

    def schedule(self) -> float:
        """Factor on the learning rates: warm-up, then linear decay to 0 over the run's samples."""
        seen, total = self.samples_seen, self.config.total_samples
        warmup = min(1.0, (seen + 1) / self.config.warmup_samples) if self.config.warmup_samples else 1.0
        return warmup * max(0.0, 1 - seen / total)

    def step(self, batches: list[Batch], phase: Phase) -> Tensor:
        """One optimiser step over this process's micro-batches; returns their mean loss, a scalar on the device.

        Reading it waits for the device, so it is read when it is reported, not at each step.
        """
        self.model.zero_grad(set_to_none=True)
        parts = len(batches)
        losses = [self._backward(batch, phase, parts, number == parts) for number, batch in enumerate(batches, 1)]
        if self.config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizers.step(self.schedule())
        self.average.update_parameters(self.model)
        self.samples_seen += phase.batch
        return torch.stack(losses).sum()

    def _backward(self, batch: Batch, phase: Phase, parts: int, last: bool) -> Tensor:
        """Add the gradients of one micro-batch; the last one's backward averages them over the processes."""
        network = self._supervised
        alone = network.no_sync() if isinstance(network, DistributedDataParallel) and not last else nullcontext()
        with alone:
            part = self.loss(batch, phase) / parts
            part.backward()  # type: ignore[no-untyped-call]
        return part.detach()

    def loss(self, batch: Batch, phase: Phase) -> Tensor:
        """The loss of one micro-batch."""
        images, keypoints, visibility, taught = (part.to(self.device, non_blocking=True) for part in batch)
        amp = torch.autocast(self.device.type, torch.bfloat16) if self._bf16 else nullcontext()
        with amp:
            outputs = self._supervised(self.normalise(images))
        return total_loss(
            outputs,
            keypoints,
            visibility,
            (*self.config.coarse_sigmas, self.config.fine_sigma),
            STRIDE,
            phase.ohkm,
            self.config.coarse_weight,
            self.spec.decoder.heatmap_peak,
            None if self.teacher is None else self.teacher(images, taught),
        )

    def averaged_network(self) -> DANet:
        """The averaged weights, as a network; not a copy."""
        network = self.average.module
        assert isinstance(network, DANet)
        return network

    def start_from(self, checkpoint: Path) -> None:
        """Take the weights of a checkpoint, for a new run, and how its spec refines locations.

        Raises:
            ModelFileError: unreadable, another network than the config's, or other crops or heatmaps than this run's.
        """
        network, spec = load_checkpoint(checkpoint)
        if network.config != self.model.config:
            raise ModelFileError(f"{checkpoint}: holds {network.config}, the config asks for {self.model.config}")
        refuse_other_conventions(checkpoint, spec, self.spec)
        self.spec = self.spec.decoded_by(spec.decoder.refinement)
        self.model.load_state_dict(network.state_dict())
        self.averaged_network().load_state_dict(network.state_dict())

    def state(self) -> dict[str, object]:
        """Everything that a resumed run needs."""
        return {
            "config": self.model.config.to_dict(),
            "spec": self.spec.to_json(),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "samples_seen": self.samples_seen,
        }

    def refuse_broken(self) -> None:
        """Check that weights and statistics are numbers; waits for the device.

        Raises:
            TrainingError: infinite or NaN ones, which no further step mends.
        """
        if not self._is_finite():
            raise TrainingError(
                f"after {self.samples_seen} samples some weights are infinite or NaN; the files written before are "
                "whole: go on from them with a lower learning_rate or with gradient_clip (docs/training.md)"
            )

    def _is_finite(self) -> bool:
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())

    def save(self, path: Path) -> None:
        """Write the state beside `path`, then rename, so that a kill leaves the last one whole.

        Raises:
            TrainingError: as `refuse_broken`.
        """
        self.refuse_broken()
        with write_beside(path) as temporary:
            torch.save(self.state(), temporary)

    def load(self, path: Path) -> None:
        """Continue from a saved state, with the crops that it was trained with if the config does not say.

        Raises:
            ModelFileError: not a state of this network, or of weights that are infinite or NaN.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self._load_optimizers(state["optimizers"], path)
            self.samples_seen = int(state["samples_seen"])
            saved = ModelSpec.from_json(state["spec"])
        except OSError as error:
            raise ModelFileError(f"{path}: {error.strerror or error}") from error
        except ModelFileError:
            raise
        except Exception as error:  # torch.load and load_state_dict raise many kinds on foreign content
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelFileError(
                f"{path}: not a training state of this run ({reason}); remove it to start anew"
            ) from error
        if not self._is_finite():
            raise ModelFileError(f"{path}: some of its weights are infinite or NaN; remove it to start anew")
        self.spec = self.spec.decoded_by(saved.decoder.refinement)
        if self.config.box_padding is None:
            self.spec = self.spec.padded_by(saved.box_padding)

    def _load_optimizers(self, state: dict[str, Any], path: Path) -> None:
        try:
            self.optimizers.load_state_dict(state)
        except (ValueError, KeyError) as error:  # of other parameters, or of another optimizer
            raise ModelFileError(
                f"{path}: its optimisers are not those of this config; set `optimizer` and `frozen` back to what they "
                f"were, or go on from its weights with --init {path} and another --out"
            ) from error


def _frozen_modules(network: DANet, names: tuple[str, ...]) -> list[torch.nn.Module]:
    modules = {name: module for name, module in network.named_modules() if name}
    if unknown := [name for name in names if name not in modules]:
        known = ", ".join(name for name, _ in network.named_children())
        missing = ", ".join(map(repr, unknown))
        raise InputError(f"frozen: the network has no {missing}, expected {known}, or parts of these as in stages.0")
    frozen = [modules[name] for name in names]
    taken = {weight for module in frozen for weight in module.parameters()}
    if taken.issuperset(network.parameters()):
        raise InputError("frozen: every weight of the network, expected that some are left to learn")
    return frozen


class _AllScales(torch.nn.Module):
    """A network whose forward gives the four scales, since DistributedDataParallel wraps `forward` alone."""

    def __init__(self, network: DANet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `DANet.forward_all`."""
        return self.network.forward_all(images)


def _supervised(network: DANet, processes: Processes) -> torch.nn.Module:
    scales = _AllScales(network)
    return scales if processes.count == 1 else DistributedDataParallel(scales, gradient_as_bucket_view=True)


Progress = Callable[[int, Tensor], None]
"""Called after each optimiser step with the samples seen and the step's loss."""


def train(
    trainer: Trainer,
    folder: Path,
    progress: Progress,
    validate: Callable[[Trainer, Phase], None],
    stop_at: int | None = None,
) -> None:
    """Run what is left of the trainer's config; the newest state is `folder`/last.pt.

    Args:
        trainer: fresh, or resumed by `Trainer.load`.
        folder: where states go.
        progress: sees each step.
        validate: called every `validate_every` samples and at the end of each phase.
        stop_at: samples seen at which to save and return, with the run unfinished; None: go to its end.

    Raises:
        InputError: a batch that cannot be dealt out to the processes or in micro-batches, a source that cannot be read,
            a `stop_at` before the first step's end.
        TrainingError: weights that are infinite or NaN, no memory on the device, or workers that died.
    """
    for phase, _ in _phases_left(trainer, None):
        _micro_batch(trainer, phase)  # the last phase's as well: a fault there must not cost the others' hours
    left = list(_phases_left(trainer, stop_at))
    if not left and not trainer.samples_seen:
        raise InputError(
            f"a stop at {stop_at} samples, expected at least {trainer.config.phases[0].batch}, the first step"
        )
    if not left:
        return
    with closing(_sample_maker(trainer)) as samples:
        for phase, last in left:
            with memory_needed(trainer.device, _micro_batch(trainer, phase)):
                _train_phase(trainer, phase, samples, last, folder, progress, validate)
                # a state at the end of a phase means that the phase has been validated: a kill loses no validation
                _validated(trainer, phase, validate)
            _saved(trainer, folder)
            trainer.processes.wait()


def _phases_left(trainer: Trainer, stop_at: int | None) -> Iterator[tuple[Phase, int]]:
    """Phases with a step left to do, and the samples seen at which each ends."""
    end, seen = 0, trainer.samples_seen
    for phase in trainer.config.phases:
        end += phase.samples
        last = end if stop_at is None else min(end, stop_at)
        if seen + phase.batch <= last:
            seen += (last - seen) // phase.batch * phase.batch
            yield phase, last
        if stop_at is not None and stop_at <= end:
            return  # a smaller batch of the next phase may still fit, but this one is not done


def _micro_batch(trainer: Trainer, phase: Phase) -> int:
    """Persons to a forward pass of this process."""
    share = trainer.processes.share(phase.batch)
    micro = min(phase.micro_batch or share, share)
    if share % micro:
        raise InputError(f"micro_batch {micro} with {share} samples to a process, expected a divisor of {share}")
    if micro == 1 and not trainer.config.frozen_batch_norm:
        raise InputError(
            "one person to a forward pass, expected at least 2: the batch norms behind a global pooling have no "
            "statistics of one value; raise batch or micro_batch, or set frozen_batch_norm"
        )
    return micro


def _sample_maker(trainer: Trainer) -> SampleMaker:
    if trainer.config.crops == "device":
        return DeviceSamples(trainer.config, trainer.spec, trainer.device, trainer.processes, trainer.samples_seen)
    return NumberedSamples(trainer.config, trainer.spec, trainer.processes)


def _validated(trainer: Trainer, phase: Phase, validate: Callable[[Trainer, Phase], None]) -> None:
    trainer.refuse_broken()  # in all processes alike, which have the same weights
    if trainer.processes.first:
        validate(trainer, phase)
    trainer.processes.wait()


def _saved(trainer: Trainer, folder: Path) -> None:
    if trainer.processes.first:
        trainer.save(folder / STATE)


def _train_phase(
    trainer: Trainer,
    phase: Phase,
    samples: SampleMaker,
    end: int,
    folder: Path,
    progress: Progress,
    validate: Callable[[Trainer, Phase], None],
) -> None:
    config = trainer.config
    micro = _micro_batch(trainer, phase)
    loader = samples.batches(phase, trainer.samples_seen, end, micro)
    trainer.set_training_mode()
    saved = time.monotonic()
    for batches in _groups(loader, trainer.processes.share(phase.batch) // micro):
        loss = trainer.step(batches, phase)
        progress(trainer.samples_seen, loss)
        # at the end of the phase it is validated anyway, and the state there says that it has been
        going_on = trainer.samples_seen + phase.batch <= end
        if going_on and _validation_is_due(trainer, phase):  # before a state, which a kill goes back to
            _validated(trainer, phase, validate)
            trainer.set_training_mode()
        if going_on and time.monotonic() - saved > 60 * config.checkpoint_minutes:
            _saved(trainer, folder)
            saved = time.monotonic()


def _validation_is_due(trainer: Trainer, phase: Phase) -> bool:
    """Whether the last step came to a multiple of `validate_every`.

    Counted from the run's first sample: counted from a resumption, a run that is killed often would never come to one.
    """
    every, seen = trainer.config.validate_every, trainer.samples_seen
    return every > 0 and seen // every > (seen - phase.batch) // every


def _groups(batches: Iterator[Batch], count: int) -> Iterator[list[Batch]]:
    while len(group := list(itertools.islice(batches, count))) == count:
        yield group
