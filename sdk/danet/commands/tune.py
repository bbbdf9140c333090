"""`danet tune`: which settings are the fastest for a model on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, write_json
from danet.commands.option_types import not_negative, persons, threads, tunable
from danet.commands.outputs import output, refuse_over
from danet.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from danet.tuning.results import Outcome, Row

PERSONS = (1, 8)
SECONDS = 60.0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, or the name of an embedded model: danet72")
    parser.add_argument(
        "--backend", type=tunable, help="openvino, onnxruntime or tflite; by the file's suffix if not given"
    )
    parser.add_argument(
        "--persons", metavar="N", nargs="+", type=persons, default=PERSONS, help="persons to a frame (1 8)"
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        nargs="+",
        type=threads,
        default=(),
        help="numbers to try, the first in the place of the default, say what an app may use (all, half, ...)",
    )
    parser.add_argument("--seconds", metavar="S", type=not_negative, default=SECONDS, help="time to spend (60)")
    parser.add_argument(
        "--max-moved", metavar="X", type=not_negative, help="share of keypoints that faster arithmetic may move (0.01)"
    )
    parser.add_argument("--save", action="store_true", help="keep the choice, for PoseEstimator to use")
    parser.add_argument("--json", metavar="OUT", type=output, help="write everything as JSON; - for stdout")


def _run(options: argparse.Namespace) -> int:
    from danet.opened_model import model_path
    from danet.tuning.agreement import MOST_MOVED
    from danet.tuning.saved import places_to_keep, save_tuning
    from danet.tuning.search import Plan, Search

    path = model_path(options.model, options.backend)
    # where there is no place to keep it, a minute of measuring is spared
    places = places_to_keep(path, options.backend or "") if options.save else []
    refuse_over(options.json, [path, *places])
    if options.json not in (None, "-") and Path(options.json).absolute() in [place.absolute() for place in places]:
        raise InputError(f"{options.json}: --save keeps the choice there; give --json another name")
    numbers = tuple(sorted(set(options.persons)))
    most_moved = MOST_MOVED if options.max_moved is None else options.max_moved
    plan = Plan(numbers, options.seconds, tuple(dict.fromkeys(options.threads)), most_moved)
    with progress_bar() as bar:
        outcome = Search(path, options.backend, plan, _Bar(bar, plan.seconds)).run()
    if options.json != "-":
        _print(outcome, numbers, most_moved)
    saved = None
    try:
        saved = save_tuning(outcome.tuning, path) if options.save else None
    finally:
        if options.json is not None:
            content = {**asdict(outcome.tuning), "rows": [asdict(row) for row in outcome.rows]}
            write_json({**content, "saved": None if saved is None else str(saved)}, options.json)
    if saved:
        human().print(f"kept in {saved}", markup=False, soft_wrap=True)
    return 0


class _Bar:
    """A search's progress in seconds; a machine that needs longer than asked for sees it full and waits."""

    def __init__(self, bar: Progress, seconds: float) -> None:
        self._bar = bar
        self._task = bar.add_task("tuning", total=round(seconds))

    def stage(self, name: str) -> None:
        self._bar.update(self._task, description=name)

    def spent(self, seconds: float) -> None:
        self._bar.advance(self._task, seconds)


def _print(outcome: Outcome, persons: tuple[int, ...], most_moved: float) -> None:
    console = human()
    for stage, rows in groupby(outcome.rows, key=lambda row: row.stage):
        console.print(_table(stage, list(rows), persons))
    tuning = outcome.tuning
    for figure in tuning.precisions:
        if not figure.admitted:
            console.print(
                f"{figure.precision} moves {figure.moved:.1%} of the keypoints by more than a heatmap cell, "
                f"over {most_moved:.1%}: not chosen (--max-moved)",
                markup=False,
                soft_wrap=True,
            )
    for load in tuning.loads:
        console.print(
            f"{load.use}, {load.persons} person{'s' * (load.persons != 1)} to a frame: "
            f"{load.default_ms:.1f} ms by default, {load.tuned_ms:.1f} ms tuned",
            markup=False,
            soft_wrap=True,
        )
    console.print(f"choice: {tuning.precision}; {tuning.settings}", markup=False, soft_wrap=True)


_SETTINGS: dict[str, Callable[[Row], str]] = {
    "precision": lambda row: row.precision,
    "threads": lambda row: "all" if row.settings.threads is None else str(row.settings.threads),
    "batch": lambda row: str(row.settings.batch_size),
    "shares": lambda row: "auto" if row.settings.shares is None else str(row.settings.shares),
    "streams": lambda row: str(row.settings.streams),
    "their batch": lambda row: str(row.settings.stream_batch_size or ""),
    "moved": lambda row: f"{row.moved:.1%}",
}


def _table(stage: str, rows: list[Row], persons: tuple[int, ...]) -> Table:
    """The rows of one stage, `*` the chosen one; of the settings only those in which they differ."""
    differing = {name: text for name, text in _SETTINGS.items() if len({text(row) for row in rows}) > 1}
    uses = ("",) if len(rows[0].milliseconds) == len(persons) else ("infer ", "stream ")
    table = Table(title=stage, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("", *differing, *(f"{use}{number}p" for use in uses for number in persons)):
        table.add_column(name, justify="right")
    for name in ("spread", "speed", "bounds", "rounds"):
        table.add_column(name, justify="right")
    for row in rows:
        low, high = row.speed_bounds
        table.add_row(
            "*" if row.chosen else "",
            *(text(row) for text in differing.values()),
            *(f"{value:.1f} ms" for value in row.milliseconds),
            f"{max(row.spreads):.0%}",
            f"{row.speed:.2f}",
            f"{low:.2f}..{high:.2f}",
            f"{row.rounds}{', out' * row.dropped}",
        )
    return table


COMMAND = Command("tune", "Measure which settings are the fastest here, and keep them.", _add_arguments, _run)
