"""Which strategy costs what: accuracy, size and speed of several, the speed interleaved in one run.

    python -m danet_calibration.compare_strategies CHECKPOINT --data DIR --out DIR --rounds 20

AP of some hundred persons tells no differences below 0.002 apart. The error of the heatmaps does, the squared
difference to the float model's over their square: where two strategies' AP are alike, read that.

The files and figures in DIR are kept, so that a run that was stopped goes on. The figures in
docs/quantization.md come from here.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.commands.console import human, progress_bar
from danet.cpu import read_cpu
from danet.model_files import model_files
from danet_calibration.candidates import dataset_candidates
from danet_calibration.crops import CalibrationCrops, cut_crops
from danet_calibration.data import DataChoice, find_data
from danet_calibration.float_model import open_float
from danet_calibration.formats import FORMATS
from danet_calibration.job import Job, file_aps, float_aps, prepare, quantized
from danet_calibration.nncf_ptq import Calibration
from danet_calibration.sampling import choose
from danet_calibration.strategy import Strategy
from danet_calibration.watch import Watch
from danet_calibration.workspace import FOLDER, Workspace, key_of
from danet_converters.export import written_whole
from danet_converters.turns import TIMED, Contender, race

DEFAULT = Strategy()


def _with(*roles: str) -> Strategy:
    """The default with further roles in float."""
    return replace(DEFAULT, float_roles=(*DEFAULT.float_roles, *roles))


def _without(role: str) -> Strategy:
    """The default with a role in INT8."""
    return replace(DEFAULT, float_roles=tuple(one for one in DEFAULT.float_roles if one != role))


STRATEGIES = {
    "default": DEFAULT,
    "features in float": replace(DEFAULT, byte_features=False),
    "masks for every cell": replace(DEFAULT, coarse_masks=()),
    "masks coarse at 1/4 alone": replace(DEFAULT, coarse_masks=(4,)),
    "nothing in float": replace(DEFAULT, float_roles=()),
    "float: means": replace(DEFAULT, float_roles=("mean",)),
    "float: means, channel products": replace(DEFAULT, float_roles=("mean", "channel product")),
    "fusion sums in INT8": _without("fusion sum"),
    "norms in INT8": _without("norm"),
    "ranges to the largest": replace(DEFAULT, activation_range="largest"),
    "float too: depthwise": _with("depthwise"),
    "float too: channel attention": _with("channel attention"),
    "float too: first convolution": _with("first convolution"),
    "float too: last convolution": _with("last convolution"),
    "float too: deconvolutions": _with("deconvolution"),
    "preset mixed": replace(DEFAULT, preset="mixed"),
    "accurate bias correction": replace(DEFAULT, bias_correction="accurate"),
    "no bias correction": replace(DEFAULT, bias_correction="none"),
    "SmoothQuant 0.5": replace(DEFAULT, smooth_quant=0.5),
    "weights of 8 bits": replace(DEFAULT, weight_bits="8"),
    "weights of 7 bits in the first layer": replace(DEFAULT, weight_bits="7 in the first layer"),
}
BATCHES = (1, 8)
ERROR_PERSONS = 200
"""Of each data set whose heatmaps are compared with the float model's."""


def main() -> None:
    """Quantize by each strategy, measure, print a table."""
    options = _options()
    with progress_bar() as bar:
        job = _open(options, Watch(bar, options.minutes))
        chosen = {name: job.fitting(STRATEGIES[name]) for name in options.only or STRATEGIES}
        rows = {"float": (job.float_model.path, float_aps(job))}
        for name, strategy in chosen.items():
            rows[name] = _measured(job, name, strategy, options.out)
    errors = _errors(job, {name: path for name, (path, _) in rows.items()}, options.out)
    crops = next(job.calibration.crops.batches(max(BATCHES)))
    files = {name: path for name, (path, _) in rows.items()}
    speeds = {batch: _speeds(files, crops[:batch], options.rounds, options.threads) for batch in BATCHES}
    print(
        f"{read_cpu().name}, {', '.join(read_cpu().features)}; {options.threads or read_cpu().cores} threads; "
        f"{', '.join(f'{len(data.persons)} persons of {data.name}' for data in job.validations)}; "
        f"medians of {options.rounds} interleaved rounds of {TIMED} calls; {time.strftime('%F')}"
    )
    heads = [f"AP, {data.name} | drop | heatmap error" for data in job.validations]
    print(f"| strategy | {' | '.join(heads)} | MB | PPS ratio, batch 1 | PPS ratio, batch 8 |")
    print(f"|{'---|' * (4 + 3 * len(heads))}")
    for name, (path, aps) in rows.items():
        figures = [
            f"{ap:.4f} | {reference - ap:+.4f} | {error:.4f}"
            for ap, reference, error in zip(aps, rows["float"][1], errors[name], strict=True)
        ]
        size = sum(part.stat().st_size for part in model_files(path)) / 1e6
        ratios = [f"{speeds[batch][name] / speeds[batch]['float']:.2f}" for batch in BATCHES]
        print(f"| {name} | {' | '.join(figures)} | {size:.2f} | {' | '.join(ratios)} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare quantization strategies.")
    parser.add_argument("model")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--format", choices=sorted(FORMATS), default="openvino")
    parser.add_argument("--samples", type=int, default=DataChoice().samples)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rendered", type=int)
    parser.add_argument("--only", nargs="+", choices=list(STRATEGIES))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--minutes", type=float)
    return parser.parse_args()


def _open(options: argparse.Namespace, watch: Watch) -> Job:
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = FORMATS[options.format]
    float_model = open_float(options.model, wanted, options.out / "float")
    data = find_data(DataChoice(options.data, samples=options.samples, rendered=options.rendered, limit=options.limit))
    crops = cut_crops(data.chosen, float_model.spec, options.out / "crops", watch.task("crops", len(data.chosen)))
    calibration = Calibration(crops, Workspace(options.out / FOLDER), watch)
    return prepare(wanted, float_model, calibration, data, 0.0, options.out)


def _measured(job: Job, name: str, strategy: Strategy, out: Path) -> tuple[Path, tuple[float, ...]]:
    """The file of a strategy, made where an earlier run did not, and its AP."""
    path = out / f"{key_of(*job.key, strategy.to_dict())}{job.format.suffixes[0]}"
    if not path.is_file():
        job.calibration.watch.begin_step()
        graph = quantized(job, strategy)
        with written_whole(path, job.format.suffixes) as written:
            job.format.write(graph, replace(job.float_model.spec, precision="int8"), written)
    aps = file_aps(job, path, name)
    human().print(f"{name}: AP {', '.join(f'{ap:.4f}' for ap in aps)}", markup=False)
    return path, aps


def _errors(job: Job, files: dict[str, Path], folder: Path) -> dict[str, list[float]]:
    """Of each file the squared difference of its heatmaps to those of the first, over their square, by data set."""
    errors: dict[str, list[float]] = {name: [] for name in files}
    for data in job.validations:
        chosen = choose(dataset_candidates(data), ERROR_PERSONS, seed=0)
        crops = cut_crops(chosen, job.float_model.spec, folder / "error-crops")
        reference: NDArray[np.float32] | None = None
        for name, path in files.items():
            heatmaps = _heatmaps(path, crops)
            reference = heatmaps if reference is None else reference
            errors[name].append(float(np.square(heatmaps - reference).sum() / np.square(reference).sum()))
            del heatmaps  # before the next file's: those of 200 persons are 42 MB
    return errors


def _heatmaps(path: Path, crops: CalibrationCrops) -> NDArray[np.float32]:
    backend = load_model(path, None, BackendOptions(keep_compiled=False)).backend
    try:
        return np.concatenate([backend.run(batch) for batch in crops.batches(max(BATCHES))])
    finally:
        backend.close()


def _speeds(files: dict[str, Path], crops: NDArray[np.uint8], rounds: int, threads: int | None) -> dict[str, float]:
    """Persons per second of each file on one batch, the files run in turn."""
    options = BackendOptions(threads=threads, keep_compiled=False)
    rows = [Contender(name, load_model(path, None, options).backend, crops) for name, path in files.items()]
    race(rows, rounds)
    for row in rows:
        row.backend.close()
    return {row.label: row.persons_per_second for row in rows}


if __name__ == "__main__":
    main()
