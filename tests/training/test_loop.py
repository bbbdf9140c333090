from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.faults.cases import TRAINING
from tests.training.test_processes import COMMAND
from torch import Tensor

from danet.errors import InputError, ModelFileError, TrainingError
from danet.keypoints import COCO_KEYPOINTS
from danet.model_spec import Metric
from danet.scenes.scene import render_scene
from danet_evaluation.coco import KeypointDataset, load_split
from danet_network.checkpoint import load_checkpoint, save_checkpoint
from danet_network.config import DANetConfig, Preset, danet_config
from danet_network.model import DANet
from danet_training import loop as loop_module
from danet_training.config import Augmentation, Phase, Source, TrainConfig, load_config
from danet_training.dataset import Batch, Numbers, Samples, load_source, open_source, sample_loader
from danet_training.loop import STATE, Trainer, train, training_spec
from danet_training.memory import memory_needed
from danet_training.processes import Processes
from danet_training.validate import BEST, LAST, Validated, Validator

CPU = torch.device("cpu")


def make_small(patch: pytest.MonkeyPatch, tiny_config: DANetConfig) -> None:
    """The trainer's network has one layer to a stage; a config cannot ask for that."""

    def small(name: str, preset: Preset) -> DANetConfig:
        return replace(tiny_config, preset=danet_config(name, preset).preset)  # which refuses other names

    patch.setattr(loop_module, "danet_config", small)


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch, tiny_config: DANetConfig) -> None:
    make_small(monkeypatch, tiny_config)


@pytest.fixture
def config(coco_folder: Path, _small: None) -> TrainConfig:
    return config_of(coco_folder)


def config_of(coco_folder: Path) -> TrainConfig:
    return TrainConfig(
        network="danet72",
        preset="paper",
        sources=(Source("coco", folder=str(coco_folder)),),
        phases=(Phase((64, 64), 20, batch=4), Phase((96, 64), 16, batch=8, micro_batch=4, ohkm=4)),
        learning_rate=1e-3,
        ema_decay=0.9,
        gradient_clip=1.0,
        bf16=False,
        workers=0,
        seed=3,
        licence="CC0",
        training_data="scenes",
    )


def trainer_of(config: TrainConfig) -> Trainer:
    return Trainer(config, training_spec(config), CPU)


def silent(*_: Any) -> None:
    pass


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every tensor and number of a state, by its path."""
    if isinstance(value, dict):
        return {key: leaf for part, inner in value.items() for key, leaf in flat(inner, f"{name}/{part}").items()}
    if isinstance(value, list | tuple):
        return {key: leaf for part, inner in enumerate(value) for key, leaf in flat(inner, f"{name}/{part}").items()}
    return {name: value}


def differing(left: Any, right: Any) -> list[str]:
    first, second = flat(left), flat(right)
    assert first.keys() == second.keys()
    return [
        name
        for name, value in first.items()
        if not (torch.equal(value, second[name]) if isinstance(value, Tensor) else value == second[name])
    ]


# Learning


def batch_of(config: TrainConfig, count: int) -> Batch:
    still = Augmentation(0.0, 0.0, (1.0, 1.0), 0.0, 0.0, 0.0)
    spec = replace(training_spec(config), input_size=(64, 64))
    samples = Samples((open_source(config.sources[0]),), config.sources[:1], spec, still, 0)
    batch: Batch = next(iter(sample_loader(samples, Numbers(0, count, 1), count, 0)))
    return batch


@pytest.mark.parametrize(
    ("preset", "optimizer", "bf16"),
    [
        ("paper", "adam", True),
        ("zoo", "adam", False),
        ("paper", "muon", True),
        pytest.param("paper", "adam", False, marks=pytest.mark.long),
        pytest.param("zoo", "adam", True, marks=pytest.mark.long),
        pytest.param("paper", "muon", False, marks=pytest.mark.long),
    ],
)
def test_loss_falls_on_a_fixed_batch(config: TrainConfig, preset: Any, optimizer: Any, bf16: bool) -> None:
    phase = Phase((64, 64), 100_000, batch=4, ohkm=0)
    # heatmaps of preset "zoo" peak at 255, which takes longer: 0.77 and 0.17 of the first loss are left. A tenth of the
    # rate would leave 0.98 and 0.5, steps of the regressors alone 0.88 and 0.24.
    rate, left = (1e-2, 0.85) if preset == "zoo" else (3e-3, 0.22)
    trainer = trainer_of(
        replace(
            config,
            preset=preset,
            optimizer=optimizer,
            bf16=bf16,
            phases=(phase,),
            gradient_clip=0.0,
            learning_rate=rate,
        )
    )
    trainer.model.train()
    batch = batch_of(config, 4)
    losses = [trainer.step([batch], phase) for _ in range(15)]
    assert losses[-1] < left * losses[0]
    assert trainer.samples_seen == 60


def test_schedule_warms_up_and_decays_to_nothing(config: TrainConfig) -> None:
    trainer = trainer_of(replace(config, warmup_samples=8))  # 36 samples in all
    rates = {}
    for seen in (0, 3, 7, 18, 36):
        trainer.samples_seen = seen
        rates[seen] = trainer.schedule()
    expected = {0: 1 / 8, 3: 4 / 8 * 33 / 36, 7: 29 / 36, 18: 0.5, 36: 0.0}
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_rate_of_nothing_changes_no_weight(config: TrainConfig, optimizer: Any) -> None:
    trainer = trainer_of(replace(config, learning_rate=0.0, muon_learning_rate=0.0, optimizer=optimizer))
    before = copy.deepcopy(dict(trainer.model.named_parameters()))
    trainer.model.train()
    trainer.step([batch_of(config, 4)], config.phases[0])
    assert not differing(before, dict(trainer.model.named_parameters()))


def test_equal_micro_batches_are_one_batch(config: TrainConfig) -> None:
    # the mean over two equal halves has the gradient of one half
    batch = batch_of(config, 4)
    gradients = []
    for batches in ([batch], [batch, batch]):
        trainer = trainer_of(config)
        trainer.model.train()
        trainer.step(batches, config.phases[0])
        gradients.append([parameter.grad for parameter in trainer.model.regressors[3].parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-7)


def test_unequal_micro_batches_are_one_batch(config: TrainConfig) -> None:
    # of two persons each; of the second two hardly a keypoint is labelled, and none visible
    images, keypoints, visibility, taught = batch_of(config, 4)
    visibility[2:] = 0
    visibility[3, :3] = 1
    whole: Batch = images, keypoints, visibility, taught
    halves: list[Batch] = [tuple(part[rows] for part in whole) for rows in (slice(2), slice(2, 4))]  # type: ignore[misc]
    gradients = []
    for batches in ([whole], halves):
        trainer = trainer_of(replace(config, frozen_batch_norm=True, gradient_clip=0.0))  # statistics are of a batch
        trainer.set_training_mode()
        trainer.step(batches, replace(config.phases[0], ohkm=8))
        gradients.append({name: parameter.grad for name, parameter in trainer.model.named_parameters()})
    for name, gradient in gradients[0].items():
        slack = 1e-5 * gradient.abs().max().item()
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=slack, msg=name)


def test_gradients_are_clipped(config: TrainConfig) -> None:
    trainer = trainer_of(replace(config, gradient_clip=1e-3))
    trainer.model.train()
    trainer.step([batch_of(config, 4)], config.phases[0])
    norm = torch.stack([p.grad.norm() for p in trainer.model.parameters() if p.grad is not None]).norm()
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_frozen_batch_norms_keep_their_statistics_and_learn_the_rest(config: TrainConfig) -> None:
    batch = batch_of(config, 4)
    changed = {}
    for frozen in (True, False):
        trainer = trainer_of(replace(config, frozen_batch_norm=frozen))
        trainer.set_training_mode()
        before = copy.deepcopy(trainer.model.state_dict())
        trainer.step([batch], config.phases[0])
        changed[frozen] = set(differing(before, trainer.model.state_dict()))
    statistics = {name for name in changed[False] if "running_" in name or "num_batches" in name}
    assert statistics
    assert not changed[True] & statistics
    names = {f"/{name}" for name, part in trainer.model.named_modules() if isinstance(part, torch.nn.BatchNorm2d)}
    assert {f"{name}.weight" for name in names} & changed[True]
    # a person's answer does not depend on the others of the batch
    trainer = trainer_of(replace(config, frozen_batch_norm=True))
    trainer.set_training_mode()
    with torch.no_grad():
        together, alone = (trainer.model(trainer.normalise(batch[0][:count])) for count in (4, 1))
    torch.testing.assert_close(together[:1], alone)


@pytest.mark.long
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_frozen_modules_stay_and_the_others_learn_as_before(
    config: TrainConfig, optimizer: Literal["adam", "muon"]
) -> None:
    batch = batch_of(config, 4)
    gradients, changed = [], []
    for frozen in ((), ("stem", "stages.0", "regressors.3.regress.2")):
        # batch norms in training mode would see other statistics behind frozen ones
        trainer = trainer_of(
            replace(config, frozen=frozen, optimizer=optimizer, frozen_batch_norm=True, gradient_clip=0.0)
        )
        trainer.set_training_mode()
        before = copy.deepcopy(trainer.state())
        trainer.step([batch], config.phases[0])
        gradients.append({name: weight.grad for name, weight in trainer.model.named_parameters()})
        changed.append(
            {name for name in before["model"] if not torch.equal(before["model"][name], trainer.state()["model"][name])}
        )
        kept = {name for name in before["model"] if name.startswith(frozen)} if frozen else set()
    assert kept & changed[0]
    assert changed[1] == changed[0] - kept
    for name, gradient in gradients[1].items():
        assert (gradient is None) == (name in kept)
        if gradient is not None:
            torch.testing.assert_close(gradient, gradients[0][name], msg=name)


def test_statistics_of_frozen_modules_stay(config: TrainConfig) -> None:
    trainer = trainer_of(replace(config, frozen=("stages.1",)))
    trainer.set_training_mode()
    before = copy.deepcopy(trainer.model.state_dict())
    trainer.step([batch_of(config, 4)], config.phases[0])
    changed = {name for name in differing(before, trainer.model.state_dict()) if "running_" in name}
    assert changed == {f"/{name}" for name in before if "running_" in name and not name.startswith("stages.1.")}


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (("stem", "backbone"), "the network has no 'backbone', expected stem, stages, pool, laterals"),
        (("",), "the network has no ''"),
        (("stem", "stages", "laterals", "upsamplers", "fusions", "regressors"), "every weight of the network"),
    ],
)
def test_modules_that_cannot_be_frozen(config: TrainConfig, frozen: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trainer_of(replace(config, frozen=frozen))


# Resuming


class Killed(Exception):  # noqa: N818
    pass


def run(config: TrainConfig, folder: Path, stop_at: int | None = None) -> Trainer:
    """Train, from the folder's state if there is one; die in the step that reaches `stop_at` samples."""
    trainer = trainer_of(config)
    if (folder / STATE).exists():
        trainer.load(folder / STATE)

    def progress(seen: int, loss: float) -> None:
        assert loss == loss
        if seen == stop_at:
            raise Killed

    train(trainer, folder, progress, silent)
    return trainer


@pytest.mark.long
def test_a_run_with_frozen_modules_goes_on(config: TrainConfig, tmp_path: Path) -> None:
    frozen = replace(config, frozen=("stem", "stages.0"), optimizer="muon", checkpoint_minutes=0.0)
    expected = run(frozen, tmp_path / "whole")
    with pytest.raises(Killed):
        run(frozen, tmp_path / "killed", 12)
    resumed = run(frozen, tmp_path / "killed")
    assert not differing(expected.state(), resumed.state())
    changed = differing(trainer_of(frozen).model.state_dict(), resumed.model.state_dict())
    assert changed
    assert not [name for name in changed if name.startswith(("/stem.", "/stages.0."))]


@pytest.fixture(scope="module")
def whole_run(
    coco_folder: Path, tiny_config: DANetConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    """What `config` comes to where nothing interrupts it: the trainer's state, and the folder."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, tiny_config)
        return run(config_of(coco_folder), folder).state(), folder


# in the first phase, in its first step, at its end, in the second phase
@pytest.mark.parametrize(
    "stop_at", [12, pytest.param(4, marks=pytest.mark.long), pytest.param(20, marks=pytest.mark.long), 36]
)
def test_resumed_run_ends_in_the_same_bits(
    config: TrainConfig, whole_run: tuple[dict[str, Any], Path], stop_at: int, tmp_path: Path
) -> None:
    expected, whole = whole_run
    often = replace(config, checkpoint_minutes=0.0)
    with pytest.raises(Killed):
        run(often, tmp_path / "killed", stop_at)
    if stop_at > 4:
        kept = torch.load(tmp_path / "killed" / STATE, weights_only=True)
        assert 0 < kept["samples_seen"] < stop_at
    resumed = run(often, tmp_path / "killed")
    assert resumed.samples_seen == expected["samples_seen"] == 36
    assert not differing(resumed.state(), expected)
    assert not differing(
        torch.load(tmp_path / "killed" / STATE, weights_only=True), torch.load(whole / STATE, weights_only=True)
    )
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [STATE]


def test_stop_runs_no_step_of_the_next_phase(config: TrainConfig, tmp_path: Path) -> None:
    # a smaller batch of the second phase would fit between the first one's last step and the stop
    two = replace(config, phases=(Phase((64, 64), 24, batch=8), Phase((96, 64), 8, batch=2)))
    seen: list[tuple[int, tuple[int, int]]] = []
    for stop_at in (12, None):
        trainer = trainer_of(two)
        if stop_at is None:
            trainer.load(tmp_path / STATE)
        validated = lambda trainer, phase: seen.append((trainer.samples_seen, phase.input_size))  # noqa: E731
        train(trainer, tmp_path, silent, validated, stop_at)
    assert seen == [(8, (64, 64)), (24, (64, 64)), (32, (96, 64))]


def test_a_stop_before_the_first_step_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a stop at 3 samples, expected at least 4, the first step"):
        train(trainer_of(config), tmp_path, silent, silent, stop_at=3)
    trainer = trainer_of(config)
    train(trainer, tmp_path, silent, silent, stop_at=4)
    train(trainer, tmp_path, lambda seen, _: pytest.fail("a step"), silent, stop_at=4)  # again: nothing left to do


def test_what_a_worker_raised_is_no_lack_of_memory() -> None:
    told = "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback"
    with pytest.raises(RuntimeError, match="Caught RuntimeError"), memory_needed(CPU, 4):
        raise RuntimeError(told)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory.\nMore"),
            r"no memory left on cpu \(CUDA out of memory\.\); lower micro_batch, now 4 ",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
            r"pid\(s\) 7\) exited unexpectedly.*; lower workers, .* --shm-size",
        ),
    ],
)
def test_memory_that_is_full_is_told(
    config: TrainConfig, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any) -> None:
        raise error

    trainer = trainer_of(config)
    monkeypatch.setattr(trainer, "step", fail)
    with pytest.raises(TrainingError, match=message) as caught:
        train(trainer, tmp_path, silent, silent)
    assert "\n" not in str(caught.value)
    error.args = ("something else",)
    if not isinstance(error, torch.OutOfMemoryError):
        with pytest.raises(RuntimeError, match="something else"):
            train(trainer, tmp_path, silent, silent)


def test_a_corrupt_picture_is_told_by_its_name(config: TrainConfig, coco_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(coco_folder, tmp_path / "data")
    for picture in (folder / "images").iterdir():
        picture.write_bytes(b"no picture")
    entries = (Source("coco", folder=str(folder)),)
    with pytest.raises(InputError) as caught:
        train(trainer_of(replace(config, sources=entries)), tmp_path, silent, silent)
    assert str(caught.value).startswith(str(folder / "images"))
    assert str(caught.value).endswith("; mend the picture, or take it out of the annotations")
    # of what a worker raises torch makes another error, whose message is the traceback: so it is handed over as a value
    samples = Samples(tuple(map(open_source, entries)), entries, training_spec(config), Augmentation(), 0)
    assert isinstance(samples[0], InputError)


@pytest.mark.long
def test_weights_that_are_no_numbers_are_not_kept(config: TrainConfig, tmp_path: Path) -> None:
    often = replace(config, checkpoint_minutes=0.0)
    trainer = trainer_of(often)
    validated: list[int] = []

    def poison(seen: int, _: Any) -> None:
        if seen == 12:
            with torch.no_grad():
                trainer.model.stem[0].weight[0, 0, 0, 0] = float("nan")

    with pytest.raises(TrainingError, match="after 12 samples some weights are infinite or NaN"):
        train(trainer, tmp_path, poison, lambda trainer, _: validated.append(trainer.samples_seen))
    assert torch.load(tmp_path / STATE, weights_only=True)["samples_seen"] == 8
    with pytest.raises(TrainingError):
        train(trainer, tmp_path, silent, lambda trainer, _: validated.append(trainer.samples_seen))
    assert not validated


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (Phase((96, 64), 16, batch=9), "batch 9 on 2 processes, expected a multiple of 2"),
        (Phase((96, 64), 16, batch=12, micro_batch=4), "micro_batch 4 with 6 samples to a process"),
        (Phase((96, 64), 16, batch=8, micro_batch=1), "one person to a forward pass, expected at least 2"),
        (Phase((96, 64), 16, batch=2), "one person to a forward pass"),
    ],
)
def test_phases_that_cannot_be_run_are_refused_before_the_first_step(
    config: TrainConfig, last: Phase, message: str, tmp_path: Path
) -> None:
    trainer = trainer_of(replace(config, phases=(config.phases[0], last)))
    trainer.processes = Processes(0, 2)
    with pytest.raises(InputError, match=message):
        train(trainer, tmp_path, lambda seen, _: pytest.fail(f"{seen} samples seen"), silent)


def test_one_person_to_a_forward_pass_with_frozen_batch_norms(config: TrainConfig, tmp_path: Path) -> None:
    frozen = replace(config, frozen_batch_norm=True, phases=(Phase((64, 64), 4, batch=2, micro_batch=1),))
    assert run(frozen, tmp_path).samples_seen == 4


@pytest.mark.long
def test_run_with_crops_of_the_device_goes_on(config: TrainConfig, tmp_path: Path) -> None:
    device = replace(config, crops="device", pool_scenes=8, sources=(*config.sources, Source("rendered")))
    seen: list[int] = []
    for stop_at in (12, None):
        trainer = Trainer(device, training_spec(device), CPU)
        if stop_at is None:
            trainer.load(tmp_path / STATE)
        train(trainer, tmp_path, lambda samples, loss: seen.append(samples), lambda trainer, phase: None, stop_at)
    assert seen == [4, 8, 12, 16, 20, 28, 36]


def test_runs_of_two_seeds_differ(config: TrainConfig, tmp_path: Path) -> None:
    # the comparison above can tell
    one = run(replace(config, phases=config.phases[:1]), tmp_path / "one")
    other = run(replace(config, phases=config.phases[:1], seed=4), tmp_path / "other")
    assert len(differing(one.state(), other.state())) > 100


@pytest.fixture
def _any_algorithms() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("_any_algorithms")
def test_deterministic_runs_end_in_the_same_bits(config: TrainConfig, tmp_path: Path) -> None:
    states = []
    for name in ("first", "second"):
        trainer = trainer_of(replace(config, deterministic=True))
        assert torch.are_deterministic_algorithms_enabled()
        train(trainer, tmp_path / name, silent, silent)
        states.append(trainer.average.state_dict())
    assert not differing(*states)
    trainer_of(config)
    assert not torch.are_deterministic_algorithms_enabled()


def test_finished_run_is_not_run_again(
    config: TrainConfig, whole_run: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    expected, whole = whole_run
    seen: list[int] = []
    again = trainer_of(config)
    again.load(Path(shutil.copy(whole / STATE, tmp_path)))
    train(again, tmp_path, lambda samples, _: seen.append(samples), silent)
    assert not seen
    assert not differing(expected, again.state())


def test_phase_that_is_no_multiple_of_its_batch(config: TrainConfig, tmp_path: Path) -> None:
    odd = replace(config, phases=(Phase((64, 64), 10, batch=4), Phase((64, 64), 9, batch=4)))
    seen: list[int] = []
    train(trainer_of(odd), tmp_path, lambda samples, _: seen.append(samples), silent)
    assert seen == [4, 8, 12, 16]


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps({"model": 1}), pickle.dumps(print)])
def test_state_that_is_none(config: TrainConfig, content: bytes, tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(ModelFileError, match="not a training state of this run"):
        trainer_of(config).load(tmp_path / STATE)


@pytest.mark.parametrize("content", [{}, [1, 2], {"model": {}}, {"model": 3, "average": {}}])
def test_state_of_something_else(config: TrainConfig, content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / STATE)
    with pytest.raises(ModelFileError, match="not a training state of this run"):
        trainer_of(config).load(tmp_path / STATE)


def test_state_cut_in_half(config: TrainConfig, tmp_path: Path) -> None:
    trainer_of(config).save(tmp_path / STATE)
    data = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError, match="not a training state of this run"):
        trainer_of(config).load(tmp_path / STATE)


def test_state_of_weights_that_are_no_numbers(config: TrainConfig, tmp_path: Path) -> None:
    trainer = trainer_of(config)
    state = trainer.state()
    state["model"]["stem.1.running_var"][0] = float("inf")  # type: ignore[index]
    torch.save(state, tmp_path / STATE)
    with pytest.raises(ModelFileError, match="some of its weights are infinite or NaN; remove it"):
        trainer_of(config).load(tmp_path / STATE)


def test_a_run_goes_on_with_the_crops_that_it_began_with(config: TrainConfig, tmp_path: Path) -> None:
    # before 2026-11-28 preset "zoo" began with 1.25
    trainer_of(replace(config, preset="zoo", box_padding=1.25)).save(tmp_path / STATE)
    for stated, expected in ((None, 1.25), (1.4, 1.4)):
        trainer = trainer_of(replace(config, preset="zoo", box_padding=stated))
        trainer.load(tmp_path / STATE)
        assert trainer.spec.box_padding == expected


def test_start_from_weights(
    config: TrainConfig, tiny_config: DANetConfig, tiny_checkpoint: Path, random_network: Any, tmp_path: Path
) -> None:
    trainer = trainer_of(config)
    other = random_network(replace(tiny_config, growth=16))
    save_checkpoint(tmp_path / "other.safetensors", other, training_spec(config))
    with pytest.raises(ModelFileError, match="growth=16"):
        trainer.start_from(tmp_path / "other.safetensors")
    weights = load_checkpoint(tiny_checkpoint)[0]
    save_checkpoint(tmp_path / "same.safetensors", weights, training_spec(config))
    trainer.start_from(tmp_path / "same.safetensors")
    expected = weights.state_dict()
    assert not differing(dict(trainer.model.state_dict()), dict(expected))
    assert not differing(dict(trainer.averaged_network().state_dict()), dict(expected))


@pytest.mark.parametrize("change", [{"std": (50.0, 50.0, 50.0)}, {"flip_shift": 1}, {"heatmap_peak": 255.0}])
def test_start_from_weights_of_other_crops_or_heatmaps(
    change: dict[str, Any], config: TrainConfig, tiny_network: DANet, tmp_path: Path
) -> None:
    spec = training_spec(config)
    of_crops = {name: value for name, value in change.items() if name == "std"}
    decoder = replace(spec.decoder, **{name: value for name, value in change.items() if name not in of_crops})
    save_checkpoint(tmp_path / "other.safetensors", tiny_network, replace(spec, decoder=decoder, **of_crops))
    with pytest.raises(ModelFileError, match=rf"its spec has {next(iter(change))} .*, this run trains with"):
        trainer_of(config).start_from(tmp_path / "other.safetensors")


def test_a_run_decodes_as_the_weights_that_it_began_with(
    config: TrainConfig, tiny_network: DANet, tmp_path: Path
) -> None:
    assert training_spec(config).decoder.refinement == "offset"
    save_checkpoint(tmp_path / "dark.safetensors", tiny_network, training_spec(config).decoded_by("dark"))
    trainer = trainer_of(config)
    trainer.start_from(tmp_path / "dark.safetensors")
    assert trainer.spec.decoder.refinement == "dark"
    trainer.save(tmp_path / STATE)
    resumed = trainer_of(config)
    resumed.load(tmp_path / STATE)
    assert resumed.spec == trainer.spec


@pytest.mark.parametrize("change", [{"optimizer": "muon"}, {"frozen": ("stem",)}])
def test_a_state_of_other_optimisers_says_how_to_keep_its_weights(
    change: dict[str, Any], config: TrainConfig, tmp_path: Path
) -> None:
    trainer = trainer_of(config)
    train(trainer, tmp_path, silent, silent, stop_at=4)
    other = trainer_of(replace(config, **change))
    with pytest.raises(ModelFileError, match=r"its optimisers are not those of this config.* --init .*last\.pt"):
        other.load(tmp_path / STATE)
    other.start_from(tmp_path / STATE)
    average = trainer.averaged_network().state_dict()
    assert not differing(dict(other.model.state_dict()), dict(average))


# Validation


def test_validation_is_called_in_time(config: TrainConfig, tmp_path: Path) -> None:
    calls: list[tuple[int, tuple[int, int]]] = []

    def validate(trainer: Trainer, phase: Phase) -> None:
        calls.append((trainer.samples_seen, phase.input_size))
        trainer.model.eval()  # what it leaves behind must not stop the learning of BN statistics

    trainer = trainer_of(replace(config, validate_every=8))
    train(trainer, tmp_path, silent, validate)
    assert calls == [(8, (64, 64)), (16, (64, 64)), (20, (64, 64)), (28, (96, 64)), (36, (96, 64))]
    assert trainer.model.stem[1].num_batches_tracked == 5 + 2 * 2


def test_validation_is_called_in_time_in_a_run_that_is_killed_often(config: TrainConfig, tmp_path: Path) -> None:
    # each part of the run is shorter than the time between two validations
    killed = replace(config, validate_every=12, phases=(Phase((64, 64), 40, batch=4),))
    calls: list[int] = []
    for stop_at in (8, 16, 24, 32):
        trainer = trainer_of(killed)
        if stop_at > 8:
            trainer.load(tmp_path / "kept")

        def progress(seen: int, _: Any, trainer: Trainer = trainer, stop_at: int = stop_at) -> None:
            if seen == stop_at:
                trainer.save(tmp_path / "kept")
                raise Killed

        with pytest.raises(Killed):
            train(trainer, tmp_path, progress, lambda trainer, _: calls.append(trainer.samples_seen))
    assert calls == [12]


def test_validator_measures_ap_and_keeps_weights(config: TrainConfig, coco_folder: Path, tmp_path: Path) -> None:
    dataset = load_split(coco_folder, "val")
    validator = Validator(dataset, tmp_path, flip_test=True)
    found: list[Validated | None] = []
    trainer = trainer_of(config)
    train(trainer, tmp_path, silent, lambda *arguments: found.append(validator(*arguments)))
    assert len(found) == 2
    for one in found:
        assert one is not None
        assert 0 <= one.ap <= 1
        assert one.sheet.dtype == np.uint8
        assert one.sheet.std() > 10
    assert {path.name for path in tmp_path.iterdir()} == {STATE, LAST, BEST}
    network, spec = load_checkpoint(tmp_path / LAST)
    assert (spec.input_size, spec.licence, spec.training_data) == ((96, 64), "CC0", "scenes")
    assert not differing(dict(network.state_dict()), dict(trainer.averaged_network().state_dict()))


def test_best_weights_of_an_earlier_part_of_the_run_are_kept(
    config: TrainConfig, coco_folder: Path, tmp_path: Path
) -> None:
    dataset, phase = load_split(coco_folder, "val"), config.phases[0]
    first = Validator(dataset, tmp_path)
    found = first(trainer_of(config), phase)
    assert found is not None
    (metric,) = load_checkpoint(tmp_path / BEST)[1].metrics
    assert (metric.name, metric.value, metric.data) == ("AP", found.ap, whole(dataset))
    assert metric.method.endswith("annotated boxes, no flip test")
    # as if they had been good
    network, spec = load_checkpoint(tmp_path / BEST)
    save_checkpoint(tmp_path / BEST, network, replace(spec, metrics=(replace(metric, value=0.9),)))
    before = (tmp_path / BEST).read_bytes()
    resumed = Validator(dataset, tmp_path, resumed=True)
    resumed(trainer_of(replace(config, seed=8)), phase)
    assert (tmp_path / BEST).read_bytes() == before
    assert Validator(dataset, tmp_path, flip_test=True, resumed=True).best == {}  # nor is what was measured otherwise
    resumed(trainer_of(config), config.phases[1])  # another size is not compared with it
    assert load_checkpoint(tmp_path / BEST)[1].input_size == (96, 64)


def whole(dataset: KeypointDataset) -> str:
    return f"{dataset.name}, {len(dataset.persons)} persons"


def test_best_weights_of_a_run_before_its_data_were_counted(
    config: TrainConfig, coco_folder: Path, tmp_path: Path
) -> None:
    dataset, trainer = load_split(coco_folder, "val"), trainer_of(config)
    metrics = (Metric("AP", 0.9, dataset.name, "annotated boxes"),)
    spec = replace(trainer.spec, input_size=config.phases[0].input_size, metrics=metrics)
    save_checkpoint(tmp_path / BEST, trainer.averaged_network(), spec)
    assert Validator(dataset, tmp_path, resumed=True).best == {config.phases[0].input_size: 0.9}


@pytest.mark.parametrize("other_data", [False, True])
def test_best_weights_of_another_run_are_not_to_be_beaten(
    config: TrainConfig, coco_folder: Path, other_data: bool, tmp_path: Path
) -> None:
    dataset, trainer = load_split(coco_folder, "val"), trainer_of(config)
    metric = Metric("AP", 0.9, "elsewhere" if other_data else whole(dataset), "annotated boxes")
    spec = replace(trainer.spec, input_size=config.phases[0].input_size, metrics=(metric,))
    save_checkpoint(tmp_path / BEST, trainer.averaged_network(), spec)
    if not other_data:
        Validator(dataset, tmp_path)  # and the run is killed before it validates
    Validator(dataset, tmp_path, resumed=True)(trainer, config.phases[0])
    renamed = tmp_path / "best.1.safetensors"
    assert renamed.exists() != other_data
    if not other_data:
        assert load_checkpoint(renamed)[1].metrics == (metric,)
    (kept,) = load_checkpoint(tmp_path / BEST)[1].metrics
    assert kept.data == whole(dataset)
    assert kept.value < 0.9


def test_validator_without_data_keeps_weights(config: TrainConfig, tmp_path: Path) -> None:
    assert Validator(None, tmp_path)(trainer_of(config), config.phases[0]) is None
    assert [path.name for path in tmp_path.iterdir()] == [LAST]


@pytest.mark.parametrize("minutes", [30.0, 0.0])  # 0: a state is due after each step, the phase's last one as well
def test_killed_between_a_phase_and_its_validation(minutes: float, config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, checkpoint_minutes=minutes)

    # the validation, and with it the run's last weights, must not be lost
    def die(*_: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(trainer_of(config), tmp_path, silent, die)
    calls: list[int] = []
    again = trainer_of(config)
    if (tmp_path / STATE).exists():
        again.load(tmp_path / STATE)
    train(again, tmp_path, silent, lambda trainer, _: calls.append(trainer.samples_seen))
    assert calls == [20, 36]


# The command


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 90
    while not path.exists():
        assert process.poll() is None, "it ended before it wrote a state"
        assert time.monotonic() < end, "no state after 90 seconds"
        time.sleep(0.02)


@pytest.mark.long
def test_killed_program_goes_on_where_it_was(coco_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(COMMAND)
    program = [sys.executable, tmp_path / "child.py", tmp_path / "run.toml", tmp_path / "out"]
    out = tmp_path / "out0"
    text = TRAINING.format(rate=1e-3, folder=coco_folder, samples=4_000)
    (tmp_path / "run.toml").write_text(text)
    process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
    wait_for(out / STATE, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    kept = torch.load(out / STATE, weights_only=True)
    assert 0 < kept["samples_seen"] < 4_000
    # now at a rate of 0 and to an end 2 steps away: the weights show what the second run started from
    (tmp_path / "run.toml").write_text(TRAINING.format(rate=0.0, folder=coco_folder, samples=kept["samples_seen"] + 8))
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"{kept['samples_seen'] + 8} samples, AP 0." in done.stderr
    state = torch.load(out / STATE, weights_only=True)
    assert state["samples_seen"] == kept["samples_seen"] + 8
    trained = {name: kept["model"][name] for name, _ in DANet(load_checkpoint(out / LAST)[0].config).named_parameters()}
    assert not differing(trained, {name: state["model"][name] for name in trained})
    assert load_checkpoint(out / BEST)[1].input_size == (64, 64)
    board = EventAccumulator(str(out)).Reload()
    (ap,) = board.Scalars("val/AP")
    assert (ap.step, 0 <= ap.value <= 1) == (state["samples_seen"], True)
    (sheet,) = board.Images("val/predictions")
    assert cv2.imdecode(np.frombuffer(sheet.encoded_image_string, np.uint8), cv2.IMREAD_COLOR).std() > 10


@pytest.mark.slow
def test_run_that_is_stopped_goes_on(coco_folder: Path, danet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(TRAINING.format(rate=1e-3, folder=coco_folder, samples=16))
    command = ("train", tmp_path / "run.toml", "--out", tmp_path / "out", "--threads", "1")
    for stop, seen in ((9, 8), (9, 8), (16, 16)):
        danet(*command, "--stop-at", stop)
        assert torch.load(tmp_path / "out" / STATE, weights_only=True)["samples_seen"] == seen


@pytest.mark.slow
@pytest.mark.parametrize("name", ["danet72", "danet102"])
def test_coco_recipe_runs_on_a_coco_folder(name: str, danet: Callable[..., Any], tmp_path: Path) -> None:
    """An epoch of a miniature with COCO's own layout, from the config as it stands but for the path."""
    persons = coco_miniature(tmp_path / "coco", scenes=64, persons=4)
    config = (Path(__file__).parents[2] / "training" / "configs" / f"coco_{name}.toml").read_text()
    (tmp_path / "coco.toml").write_text(config.replace('folder = "coco"', f'folder = "{tmp_path / "coco"}"'))
    out = tmp_path / "out"
    danet("train", tmp_path / "coco.toml", "--out", out, "--stop-at", persons // 256 * 256)
    assert torch.load(out / STATE, weights_only=True)["samples_seen"] == persons // 256 * 256 > 0
    network, spec = load_checkpoint(out / LAST)
    assert (network.config.name, spec.input_size) == (name, (256, 192))


def coco_miniature(folder: Path, scenes: int, persons: int) -> int:
    """Rendered scenes in the folders of COCO 2017; returns how many persons have labelled keypoints."""
    (folder / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
        (folder / split).mkdir()
        for number in range(1, (scenes if split == "train2017" else 2) + 1):
            scene = render_scene(number, (240, 320), persons=persons)
            image, annotations = scene.to_coco(number, len(content["annotations"]) + 1)
            content["images"].append({**image, "file_name": f"{number:012}.jpg"})
            content["annotations"] += annotations
            cv2.imwrite(str(folder / split / f"{number:012}.jpg"), np.asarray(scene.image))
        (folder / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(content))
    return len(load_split(folder, "train").persons)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("danet72", "danet73"), "no network named 'danet73'"),
        (("danet72", 'danet72"\nspeed = "high'), "unknown entries speed"),
        (('split = "val"', 'split = "test"'), "no annotations of split 'test'"),
        (("batch = 4", "batch = 4\nmicro_batch = 8"), "micro_batch"),
    ],
)
def test_config_that_cannot_be_run(
    danet: Callable[..., Any], coco_folder: Path, change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(TRAINING.format(rate=1, folder=coco_folder, samples=8).replace(*change))
    assert message in danet("train", tmp_path / "run.toml", "--out", tmp_path / "out").error()


def test_keypoints_in_cocos_order_by_other_spellings(coco_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(coco_folder, tmp_path / "data")
    content = json.loads((folder / "train.json").read_text())
    content["categories"] = [{"id": 1, "name": "person", "keypoints": [n.title() for n in COCO_KEYPOINTS]}]
    (folder / "train.json").write_text(json.dumps(content))
    assert load_source(Source("coco", folder=str(folder))).keypoints == COCO_KEYPOINTS


def _without_a_picture(content: dict[str, Any]) -> None:
    content["images"][1]["file_name"] = "lost.png"


def _of_an_animal(content: dict[str, Any]) -> None:
    content["categories"] = [{"id": 1, "name": "animal", "keypoints": ["left_eye", "nose", "tail"]}]


def _of_14_keypoints(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["keypoints"] = annotation["keypoints"][:42]


def _of_hidden_keypoints(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["keypoints"][2::3] = [min(value, 1) for value in annotation["keypoints"][2::3]]


def _without_area(content: dict[str, Any]) -> None:
    del content["annotations"][0]["area"]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("train", _without_a_picture, "1 of 3 pictures are not there, the first is {folder}/images/lost.png"),
        ("train", _of_an_animal, "3 keypoints (left_eye, nose, tail, ...), persons with 17, expected COCO's 17"),
        ("train", _of_14_keypoints, "persons with 14, expected COCO's 17 (nose, left_eye, right_eye, ...)"),
        ("train", _of_hidden_keypoints, "no keypoint is visible (v = 2), by which alone the coarse scales learn"),
        ("val", _without_a_picture, "1 of 3 pictures are not there"),
        ("val", _of_an_animal, "3 keypoints (left_eye, nose, tail, ...)"),
        ("val", _without_area, "annotation 1: area None"),
    ],
)
def test_data_that_cannot_be_used_is_refused_before_the_first_step(
    danet: Callable[..., Any],
    coco_folder: Path,
    split: str,
    change: Callable[[dict[str, Any]], None],
    message: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(coco_folder, folder)
    content = json.loads((folder / f"{split}.json").read_text())
    change(content)
    (folder / f"{split}.json").write_text(json.dumps(content))
    (tmp_path / "run.toml").write_text(TRAINING.format(rate=1, folder=folder, samples=8))
    error = danet("train", tmp_path / "run.toml", "--out", tmp_path / "out").error()
    assert message.format(folder=folder) in error
    assert not (tmp_path / "out" / STATE).exists()


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("entry", ["frozen_batch_norm = true", 'frozen = ["stem"]'])
def test_what_is_frozen_needs_trained_weights(
    danet: Callable[..., Any], coco_folder: Path, tmp_path: Path, entry: str
) -> None:
    text = TRAINING.format(rate=1, folder=coco_folder, samples=8)
    (tmp_path / "run.toml").write_text(f"{entry}\n{text}")
    assert "name a checkpoint with --init" in danet("train", tmp_path / "run.toml", "--out", tmp_path / "out").error()
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_small")
def test_a_run_that_goes_on_says_so(danet: Callable[..., Any], coco_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(TRAINING.format(rate=1, folder=coco_folder, samples=8))
    trainer = trainer_of(load_config(tmp_path / "run.toml"))
    trainer.samples_seen = 8
    trainer.save(tmp_path / "out" / STATE)
    command = ("train", tmp_path / "run.toml", "--out", tmp_path / "out")
    said = danet(*command, "--init", "other.safetensors").err
    assert f"{STATE}: goes on from 8 samples; --init is not read: give another --out to start from it" in said
    assert "out: 8 samples seen, nothing left to do" in said
    assert "--init" not in danet(*command).err


@pytest.mark.parametrize("option", ["--threads", "--stop-at"])
def test_counts_that_are_none_are_wrong_use(danet: Callable[..., Any], option: str, tmp_path: Path) -> None:
    for value in ("0", "-1", "many"):
        done = danet("train", tmp_path / "run.toml", "--out", tmp_path / "out", f"{option}={value}")
        assert done.status == 2
        assert "expected a whole number above 0" in done.err


@pytest.mark.usefixtures("_small")
def test_missing_config_and_weights(danet: Callable[..., Any], coco_folder: Path, tmp_path: Path) -> None:
    assert "No such file" in danet("train", tmp_path / "run.toml", "--out", tmp_path / "out").error()
    (tmp_path / "run.toml").write_text(TRAINING.format(rate=1, folder=coco_folder, samples=8))
    error = danet(
        "train", tmp_path / "run.toml", "--out", tmp_path / "out", "--init", tmp_path / "no.safetensors"
    ).error()
    assert "no.safetensors" in error
    assert not (tmp_path / "out").exists()
