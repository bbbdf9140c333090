"""Where the time of training goes: whole loop, network alone and data alone, by crop size, bfloat16 and workers.

    python -m danet_training.measure_throughput training/configs/danet72_embedded.toml --steps 8

The table in training/RUNS.md comes from here.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from danet.cpu import read_cpu
from danet_training.arithmetic import computes_bf16
from danet_training.config import Phase, TrainConfig, load_config
from danet_training.dataset import Numbers, Samples, open_source, sample_loader
from danet_training.loop import Trainer, train, training_spec

WARM_UP = 3
"""Steps that are not counted: memory is laid out, workers fill their queues."""


def main() -> None:
    """Time each combination and print a table."""
    parser = argparse.ArgumentParser(description="Time the training loop and its parts.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8, help="counted steps of each combination (8)")
    parser.add_argument("--sizes", default="128x96,256x192", help="crop heights x widths (128x96,256x192)")
    parser.add_argument("--workers", default="0,1,2", help="numbers of worker processes (0,1,2)")
    options = parser.parse_args()
    config = replace(load_config(options.config), crops="workers")  # it is the workers that are counted
    about = f"{read_cpu().name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"
    table = Table(title=f"samples/s, batch {options.batch}, medians of {options.steps} steps", caption=about)
    for heading in ("crop", "arithmetic", "network alone", "data alone, one process"):
        table.add_column(heading, justify="right")
    workers = [int(count) for count in options.workers.split(",")]
    for count in workers:
        table.add_column(f"loop, {count} workers", justify="right")
    for size in options.sizes.split(","):
        height, width = map(int, size.split("x"))
        phase = Phase((height, width), (WARM_UP + options.steps) * options.batch, batch=options.batch, ohkm=0)
        alone = data_rate(config, phase)
        # where the CPU has none, `danet train` leaves it out as well
        for bf16 in (True, False) if computes_bf16(torch.device("cpu")) else (False,):
            case = replace(config, bf16=bf16, phases=(phase,), checkpoint_minutes=60.0)
            rates = [network_rate(case), alone, *(loop_rate(replace(case, workers=count)) for count in workers)]
            table.add_row(size, "bf16" if bf16 else "fp32", *(f"{rate:.1f}" for rate in rates))
    Console(width=120).print(table)


def data_rate(config: TrainConfig, phase: Phase) -> float:
    """Samples per second that one process crops and augments."""
    spec = replace(training_spec(config), input_size=phase.input_size)
    sources = tuple(open_source(source) for source in config.sources)
    samples = Samples(sources, config.sources, spec, config.augmentation, config.seed)
    seconds = []
    for number in range(phase.samples):
        start = time.perf_counter()
        samples[number]
        seconds.append(time.perf_counter() - start)
    return 1 / statistics.mean(seconds)  # the mean: a rendered scene costs several times a cached picture


def network_rate(config: TrainConfig) -> float:
    """Samples per second of optimiser steps on one batch that is at hand."""
    (phase,) = config.phases
    trainer = Trainer(config, training_spec(config), torch.device("cpu"))
    trainer.set_training_mode()
    spec = replace(trainer.spec, input_size=phase.input_size)
    samples = Samples((open_source(config.sources[-1]),), config.sources[-1:], spec, config.augmentation, config.seed)
    batch = next(iter(sample_loader(samples, Numbers(0, phase.batch), phase.batch, 0)))
    times = [time.perf_counter()]
    while trainer.samples_seen < phase.samples:
        trainer.step([batch], phase)
        times.append(time.perf_counter())
    return _rate(times, phase.batch)


def loop_rate(config: TrainConfig) -> float:
    """Samples per second of the loop as `danet train` runs it."""
    trainer = Trainer(config, training_spec(config), torch.device("cpu"))
    times = [time.perf_counter()]
    with tempfile.TemporaryDirectory() as folder:
        train(
            trainer,
            Path(folder),
            lambda seen, loss: times.append(time.perf_counter()),
            lambda trainer, phase: None,
        )
    return _rate(times, config.phases[0].batch)


def _rate(times: list[float], batch: int) -> float:
    steps = [after - before for before, after in pairwise(times)]
    return batch / statistics.median(steps[WARM_UP:])


if __name__ == "__main__":
    main()
