"""What a training run is made of: a small typed TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from danet.bounded_file import read_at_most
from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS
from danet_network.config import Preset

_KEYPOINTS = len(COCO_KEYPOINTS)
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """Where samples come from, and how often."""

    kind: Literal["coco", "rendered"]
    weight: float = 1.0
    """Share of the samples, relative to the other sources."""
    folder: str = ""
    """Of a "coco" source; relative to the working directory."""
    split: str = ""
    """Of a "coco" source; left out: "train", of the validation "val"."""
    persons: int = 500
    """Of a "rendered" source for validation."""
    cache: bool = False
    """Keep all decoded pictures in memory (shared by the workers through fork); crops = "device" always does."""
    taught: bool = True
    """Whether the run's teacher adds its heatmaps; false where the labels are exact, as those of rendered scenes."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training crop (the paper's section IV-A, and options)."""

    rotation: float = 45.0
    """Largest turn in degrees, either way."""
    rotation_probability: float = 0.6
    scale: tuple[float, float] = (0.7, 1.35)
    """Factor on the box."""
    shift: float = 0.0
    """Largest move of the box's centre, in parts of its side."""
    flip_probability: float = 0.5
    half_body_probability: float = 0.3
    color_jitter: float = 0.0
    """Largest relative change of brightness and contrast; half of it for each channel."""
    degrade_probability: float = 0.0
    """Chance of blur, noise or JPEG artefacts."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one crop size."""

    input_size: tuple[int, int]
    samples: int
    batch: int = 256
    """Persons to an optimiser step."""
    micro_batch: int = 0
    """Persons to a forward pass, accumulated up to `batch`; 0: all at once."""
    ohkm: int = 8
    """Hardest keypoints that the finest scale's loss keeps (17 // 2 in the zoo); 0: all."""


@dataclass(frozen=True)
class Teacher:
    """A trained network that the run distils."""

    model: str
    """A checkpoint or model file that PoseEstimator opens: a larger DANet, or any other with a ModelSpec."""
    sigma: float = 5.6
    """Width of its peaks in input pixels of its own crop."""
    unlabelled_weight: float = 0.5
    """Of its heatmaps for keypoints without a label or outside the crop, where a labelled one counts 1."""
    labelled_share: float = 0.0
    """Part of a labelled keypoint's target that is the teacher's."""


@dataclass(frozen=True)
class TrainConfig:
    """One run, in full."""

    network: str
    preset: Preset
    sources: tuple[Source, ...]
    phases: tuple[Phase, ...]
    augmentation: Augmentation = field(default=Augmentation())
    teacher: Teacher | None = None
    learning_rate: float = 3e-4
    """At the start; decays linearly to 0 over all samples."""
    optimizer: Literal["adam", "muon"] = "adam"
    """"muon": Muon for the matrices of dense convolutions, Adam for the rest."""
    muon_learning_rate: float = 0.02
    """Spectral norm of Muon's step at the start; decays as the other."""
    muon_weight_decay: float = 0.0
    warmup_samples: int = 0
    ema_decay: float = 0.999
    gradient_clip: float = 0.0
    """Largest gradient norm; 0: no clipping."""
    box_padding: float | None = None
    """Factor on the person box; left out: the preset's, 1.25 of "paper" and 1.1 of "zoo"."""
    coarse_sigmas: tuple[float, float, float] = (10.4, 8.0, 6.8)
    fine_sigma: float = 5.6
    """Widths of the four scales' Gaussian targets in input pixels, at every crop size; coarse first."""
    coarse_weight: float = 0.25
    """Of each coarse scale's loss beside the finest's (the zoo's 1/4)."""
    frozen_batch_norm: bool = False
    """Batch norms use the statistics of the start's weights, and keep them; their scales and biases learn. For
    going on from trained weights in small batches: statistics of a few persons can make a layer's response explode."""
    frozen: tuple[str, ...] = ()
    """Modules whose weights and statistics stay those of the start's weights, such as "stem" and "stages.0". Where all
    in front of them are frozen too, nothing is propagated back through them: with these two a CPU needs two thirds of
    the time."""
    bf16: bool = True
    """Mixed precision, where the device computes in bfloat16."""
    seed: int = 0
    deterministic: bool = False
    """Only operations of torch that give the same bits each time; one that has no such form raises. CPUs give the
    same bits without it; on GPUs it costs speed."""
    workers: int = 1
    """Processes that make crops for each training process; no more than its cores. 0: none, it makes them itself; with
    crops = "device" one renders."""
    crops: Literal["workers", "device"] = "workers"
    """"device": all pictures lie in the training device's memory, where crops are cut and changed many at once; the
    workers only render scenes. For GPUs, which a few cores cannot feed. Sample n is then not the same in each run."""
    pool_scenes: int = 4096
    """Of crops = "device": rendered scenes in the device's memory, the oldest replaced all the time; 0.4 MB each."""
    checkpoint_minutes: float = 5.0
    validate_every: int = 0
    """Samples between validations, counted from the run's first; 0: at the end of each phase."""
    validation: Source | None = None
    flip_test: bool = False
    """In validation."""
    licence: str = "unknown"
    training_data: str = "unknown"
    """Both go into the ModelSpec of the checkpoints."""

    @property
    def total_samples(self) -> int:
        """Of all phases."""
        return sum(phase.samples for phase in self.phases)


def load_config(path: Path) -> TrainConfig:
    """Read a TOML file.

    Raises:
        InputError: missing file, broken TOML, unknown, missing or wrongly typed entries, numbers
            with which the loop could not run.
    """
    try:
        data = read_at_most(path, MAX_CONFIG_BYTES)
        values = {} if len(data) > MAX_CONFIG_BYTES else tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML ({error})") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise InputError(f"{path}: more than {MAX_CONFIG_BYTES} bytes, no training config")
    config = _build(TrainConfig, values, str(path))
    assert isinstance(config, TrainConfig)
    if not config.sources or not config.phases:
        raise InputError(f"{path}: a run needs at least one source and one phase")
    for name, value, valid, expected in _ranges(config):
        if not valid:
            raise InputError(f"{path}: {name} is {value}, expected {expected}")
    return config


def _ranges(config: TrainConfig) -> Iterator[tuple[str, object, bool, str]]:
    """Name, value, whether the loop can run with it, and what it could run with."""
    for source in config.sources:
        yield "weight", source.weight, 0 < source.weight < inf, "a number above 0"
    total = sum(source.weight for source in config.sources)
    yield "the sum of weights", total, total < inf, "a finite number"
    validation = config.validation
    for source in config.sources if validation is None else (*config.sources, validation):
        there = source.kind != "coco" or bool(source.folder)
        yield "folder", repr(source.folder), there, 'that of the data for kind "coco"'
    if validation is not None:
        yield "persons", validation.persons, validation.persons >= 1, "1 or more"
    for phase in config.phases:
        batch, micro = phase.batch, phase.micro_batch
        yield "input_size", phase.input_size, all(n > 0 and n % 32 == 0 for n in phase.input_size), "multiples of 32"
        yield "batch", batch, batch >= 1, "1 or more"
        yield "micro_batch", micro, micro == 0 or (micro > 0 and batch % micro == 0), f"a divisor of batch {batch}"
        yield "samples", phase.samples, phase.samples >= batch, f"at least a batch of {batch}"
        yield "ohkm", phase.ohkm, 0 <= phase.ohkm <= _KEYPOINTS, f"0..{_KEYPOINTS}"
    if (teacher := config.teacher) is not None:
        yield "sigma", teacher.sigma, _is_width(teacher.sigma), _WIDTHS
        yield "unlabelled_weight", teacher.unlabelled_weight, 0 <= teacher.unlabelled_weight < inf, "0 or more"
        yield "labelled_share", teacher.labelled_share, 0 <= teacher.labelled_share <= 1, "0 to 1"
    names = ("learning_rate", "checkpoint_minutes", "gradient_clip", "coarse_weight")
    for name in (*names, "muon_learning_rate", "muon_weight_decay"):
        value = getattr(config, name)
        yield name, value, isfinite(value) and value >= 0, "0 or more"
    yield "fine_sigma", config.fine_sigma, _is_width(config.fine_sigma), _WIDTHS
    yield "coarse_sigmas", config.coarse_sigmas, all(map(_is_width, config.coarse_sigmas)), _WIDTHS
    if (padding := config.box_padding) is not None:
        yield "box_padding", padding, 0.1 <= padding <= 10, "0.1 to 10"
    yield from _augmentation_ranges(config.augmentation)
    if config.crops == "device":
        degraded = config.augmentation.degrade_probability
        yield "degrade_probability", degraded, degraded == 0, '0 with crops = "device", which cannot do that'
        yield "pool_scenes", config.pool_scenes, config.pool_scenes >= 4, "4 or more"
        rendered = any(source.kind == "rendered" for source in config.sources)
        repeatable = not (config.deterministic and rendered)
        yield "deterministic", config.deterministic, repeatable, 'false with crops = "device" and rendered scenes'
    yield from _without_effect(config)
    for name in ("warmup_samples", "workers", "validate_every"):
        yield name, getattr(config, name), getattr(config, name) >= 0, "0 or more"
    yield "seed", config.seed, 0 <= config.seed < 1 << 63, "0 to 2^63 - 1"
    yield "ema_decay", config.ema_decay, 0 <= config.ema_decay < 1, "0 to below 1"


def _without_effect(config: TrainConfig) -> Iterator[tuple[str, object, bool, str]]:
    """Entries that nothing would be done with, where they are given."""
    idle: list[tuple[Any, tuple[str, ...], str]] = []
    for source in config.sources:
        idle.append((source, ("persons",), "it is for [validation] alone"))
        if source.kind == "rendered":
            idle.append((source, ("folder", "split", "cache"), 'it is for kind "coco"'))
    if (validation := config.validation) is not None:
        idle.append((validation, ("weight", "cache", "taught"), "it is for [[sources]] alone"))
        of_others = ("persons",) if validation.kind == "coco" else ("folder", "split")
        idle.append((validation, of_others, f'kind "{validation.kind}" has none'))
    if config.optimizer == "adam":
        idle.append((config, ("muon_learning_rate", "muon_weight_decay"), 'it is for optimizer = "muon"'))
    if config.crops == "workers":
        idle.append((config, ("pool_scenes",), 'it is for crops = "device"'))
    defaults = {(kind, entry.name): entry.default for kind in (Source, TrainConfig) for entry in fields(kind)}
    for table, names, why in idle:
        for name in names:
            value, default = getattr(table, name), defaults[type(table), name]
            yield name, value, value == default, f"it left out: {why}"


_WIDTHS = "0.01 to 10000 pixels"


def _is_width(sigma: float) -> bool:
    """Whether a Gaussian's exponent can be computed with it in float32."""
    return 0.01 <= sigma <= 10_000


def _augmentation_ranges(options: Augmentation) -> Iterator[tuple[str, object, bool, str]]:
    low, high = options.scale
    yield "scale", options.scale, 0.01 <= low <= high <= 100, "two numbers from 0.01 to 100, the smaller one first"
    yield "rotation", options.rotation, 0 <= options.rotation <= 180, "0 to 180 degrees"
    yield "shift", options.shift, 0 <= options.shift <= 100, "0 to 100"
    for name in ("color_jitter", *(entry.name for entry in fields(options) if entry.name.endswith("_probability"))):
        value = getattr(options, name)
        yield name, value, 0 <= value <= 1, "0 to 1"


def _build(kind: Any, value: Any, where: str) -> Any:
    """Turn parsed TOML into the annotated type, refusing what does not fit."""
    if is_dataclass(kind) and isinstance(kind, type):
        return _build_dataclass(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{where}: {value!r}, expected one of {', '.join(map(repr, arguments))}")
        return value
    if type(None) in arguments:
        return _build(arguments[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError(f"{where}: {value!r}, expected a list")
        kinds = (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise InputError(f"{where}: {len(value)} items, expected {len(kinds)}")
        return tuple(_build(item, part, where) for item, part in zip(kinds, value, strict=True))
    if kind is float and type(value) is int and abs(value) < 1 << 53:
        return float(value)
    if type(value) is not kind:
        raise InputError(f"{where}: {value!r}, expected a {kind.__name__}")
    return value


def _build_dataclass(kind: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where}: {value!r}, expected a table")
    hints = get_type_hints(kind)
    if unknown := sorted(set(value) - {item.name for item in fields(kind)}):
        raise InputError(f"{where}: unknown entries {', '.join(unknown)}")
    try:
        return kind(**{name: _build(hints[name], part, f"{where}: {name}") for name, part in value.items()})
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error
