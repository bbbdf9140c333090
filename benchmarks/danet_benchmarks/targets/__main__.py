"""The speed promises, measured.

    python -m danet_benchmarks.targets --int8 danet72-int8.xml --fp32 danet72 --onnx danet72.onnx --threads 2 --out DIR

Writes DIR/targets.json and DIR/targets.md. The exit status is 0 whether or not all promises are kept: what another
machine cannot keep is no failure of the program.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from danet.commands.option_types import positive
from danet.files import write_beside
from danet.opened_model import model_path
from danet.tuning.rounds import LEAST_ROUNDS
from danet_benchmarks.machine import read_machine
from danet_benchmarks.plan import FRAME_SIZE
from danet_benchmarks.scenes import render_scenes
from danet_benchmarks.targets.measure import Models, Timed, measure_starts, persons_to_a_call, time_rounds
from danet_benchmarks.targets.promises import Promise, promises

FRAMES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description="Measures the speed promises.")
    parser.add_argument("--int8", required=True)
    parser.add_argument("--fp32", required=True)
    parser.add_argument("--onnx", required=True)
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=20)
    parser.add_argument("--seconds", type=float, default=0.6, help="of one measurement in one round")
    parser.add_argument("--frames", type=positive, default=20_000, help="of the long run")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    command = " ".join(sys.argv[1:] if arguments is None else arguments)
    models = Models(*(model_path(name) for name in (options.int8, options.fp32, options.onnx)))
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(f"{time.strftime('%T')} {text}", markup=False, highlight=False)

    started = time.strftime("%F")
    scenes = render_scenes((1, 8, 10), FRAMES, FRAME_SIZE)
    timed = time_rounds(models, scenes, options.threads, options.rounds, options.seconds, say)
    found = promises(
        timed, starts := measure_starts(models.int8, options.threads, options.frames, say), options.threads
    )
    machine = read_machine(noise=timed.noise)
    content = {
        "command": f"python -m danet_benchmarks.targets {command}",
        "date": started,
        "machine": asdict(machine),
        "promises": [{**asdict(one), "kept": one.kept} for one in found],
        "keypoints_moved": timed.moved,
        "fixed_work_seconds": list(timed.readings),
        "seconds_by_round": {name: timed.means(name).tolist() for name in persons_to_a_call()},
        "starts": asdict(starts),
    }
    text = _markdown(found, timed, content["command"], machine.cpu, machine.features, options.threads, started)
    for name, written in (("targets.json", json.dumps(content, indent=1) + "\n"), ("targets.md", text)):
        with write_beside(options.out / name) as temporary:
            temporary.write_text(written, encoding="utf-8")
    print(text)
    return 0


def _markdown(
    found: Sequence[Promise], timed: Timed, command: object, cpu: str, features: Sequence[str], threads: int, date: str
) -> str:
    rounds = len(timed.rounds["int8"])
    around = "bounds of the median, 95 %" if rounds >= LEAST_ROUNDS else "lowest and highest round"
    lines = [
        f"# Speed promises on {cpu}, {date}",
        "",
        f"    {command}",
        "",
        f"{', '.join(features)}; {threads} threads; {rounds} interleaved rounds. Noise of the "
        f"machine (a fixed piece of work within the rounds): {timed.noise:.0%}. The app by hand finds "
        f"{timed.moved:.1%} of the keypoints more than a pixel from where danet does.",
        "",
        f"| | promise | asked | measured | {around} | kept | |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        sign = "≥" if one.at_least else "≤"
        between = "" if one.low == one.high else f"{one.low:.3g} to {one.high:.3g}"
        kept = "yes" if one.kept else "**no**"
        asked, measured = f"{sign} {one.limit:g}", f"{one.value:.3g}"
        lines.append(f"| {one.number} | {one.text} | {asked} | {measured} | {between} | {kept} | {one.detail} |")
    lines += [
        "",
        "| measured, 8 persons to a frame unless said | ms a call, median of rounds | persons/s |",
        "|---|---|---|",
    ]
    for name, persons in persons_to_a_call().items():
        each = float(np.median(timed.means(name)))
        lines.append(f"| {name} | {1e3 * each:.1f} | {persons / each:.1f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
