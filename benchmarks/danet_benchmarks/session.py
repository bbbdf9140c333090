"""From the options of `danet benchmark` to a written report and an exit status."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from datetime import date
from pathlib import Path

from danet.commands.console import human
from danet.cpu import read_cpu
from danet.errors import InputError, MissingExtraError
from danet.scenes.scene import MAX_PERSONS
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.plan import DEFAULT, FRAME_PERSONS, FRAME_SIZE, FULL, QUICK, Plan
from danet_benchmarks.report.compare import compare
from danet_benchmarks.report.comparison_table import print_comparison
from danet_benchmarks.report.json_form import load_report
from danet_benchmarks.report.table import print_table
from danet_benchmarks.report.write import JSON_NAME, write_json, write_report
from danet_benchmarks.request import PARTS, DataChoice, Grid, Request
from danet_benchmarks.results import Report
from danet_benchmarks.run import run_benchmark
from danet_benchmarks.watch import Bar
from danet_evaluation.coco import annotation_file

RESULTS = Path("benchmarks/results")
DONE, FAILED = 0, 1


def benchmark(options: argparse.Namespace) -> int:
    """Run what the options ask for; the report is written whatever happens.

    Raises:
        InputError: a file or folder that was named is not there, or the report would replace its baseline.
    """
    request = request_of(options)
    baseline = load_report(options.baseline) if options.baseline else None
    folder = options.out or new_folder(RESULTS)
    if options.baseline and options.baseline.resolve() == (folder / JSON_NAME).resolve():
        raise InputError(f"{options.baseline}: --out {folder} would write over this --baseline; give another folder")
    ledger = Ledger(_command_line(), request.plan.rounds, FRAME_SIZE, lambda report: write_json(report, folder))
    try:
        with Bar() as bar:
            run_benchmark(request, ledger, bar)
    except BaseException as error:  # an interrupt as well: what was measured is kept
        ledger.note(f"ended before its end: {type(error).__name__} {error}".strip())
        _finish(ledger.report(complete=False), folder)
        raise
    report = ledger.report(complete=True)
    _finish(report, folder)
    comparison = compare(baseline, report, request.parts) if baseline else None
    if comparison:
        print_comparison(comparison, human())
    worse = comparison is not None and comparison.regressed
    return FAILED if worse or not _succeeded(report, request) else DONE


def request_of(options: argparse.Namespace) -> Request:
    """The options as a request.

    Raises:
        InputError: a data folder, split or file that is not there, or too many persons.
    """
    plan = plan_of(options)
    if options.data and not options.data.is_dir():
        raise InputError(f"{options.data}: no such folder")
    if options.data and options.only != "speed":
        annotation_file(options.data, options.split or "val")
    if (most := max(options.persons or (), default=0)) > MAX_PERSONS:
        raise InputError(f"--persons {most}, expected {MAX_PERSONS} at most: the persons of a rendered frame")
    for path in (*options.checkpoint, *options.foreign, *([options.detections] if options.detections else [])):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    return Request(
        plan=plan,
        grid=Grid(
            backends=tuple(options.backend) if options.backend else None,
            hints=tuple(options.precision) if options.precision else None,
            batches=tuple(options.batch or plan.batches),
            threads=tuple(options.threads or (read_cpu().cores,)),
            streams=tuple(options.streams or (1,)),
        ),
        models=tuple(options.models),
        rivals=None if options.rivals is None else tuple(options.rivals),
        foreign=tuple(options.foreign),
        checkpoints=tuple(options.checkpoint),
        data=DataChoice(options.data, options.split or "val", options.detections, options.limit, options.flip_test),
        parts=(options.only,) if options.only else PARTS,
        frame_persons=tuple(options.persons or FRAME_PERSONS),
        exported=options.exported,
    )


def plan_of(options: argparse.Namespace) -> Plan:
    """How long to measure."""
    return QUICK if options.quick else FULL if options.full else DEFAULT


def new_folder(parent: Path) -> Path:
    """`parent`/CPU-DATE, with a number behind it where an earlier run of the day has that name."""
    cpu = re.sub(r"[^a-z0-9]+", "-", read_cpu().name.lower()).strip("-") or "cpu"
    name = f"{cpu}-{date.today().isoformat()}"
    taken = {path.name for path in parent.glob(f"{name}*")}
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return parent / next(one for one in (name, *numbered) if one not in taken)


def _command_line() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _finish(report: Report, folder: Path) -> None:
    """Print first: a full disk must not cost the reader the figures."""
    console = human()
    print_table(report, console)
    try:
        write_report(report, folder)
    except MissingExtraError as error:
        console.print(str(error), markup=False, soft_wrap=True)
    console.print(f"{folder}: the report", markup=False, soft_wrap=True)


def _succeeded(report: Report, request: Request) -> bool:
    """Whether some row was measured, and the accuracy on the data that was named."""
    measured = any(row.speed or row.accuracy for row in report.rows)
    judged = any(row.accuracy for row in report.rows)
    return measured and (judged or request.data.folder is None or "accuracy" not in request.parts)
