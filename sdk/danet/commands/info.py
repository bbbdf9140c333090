"""`danet info`: what a model file is, and what this machine runs it with."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from danet.commands.command import Command, announced
from danet.commands.console import human, write_json
from danet.commands.option_types import BACKENDS_HELP, backend
from danet.commands.outputs import output, refuse_over
from danet.cpu import read_cpu

if TYPE_CHECKING:
    from danet.model_spec import ModelSpec
    from danet.tuning.saved import FoundTuning
    from danet.tuning.settings import Settings

DESCRIPTIONS = "danet.descriptions"
"""Entry-point group of functions `describe(path) -> dict of facts or None` for files of other packages."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, a checkpoint, or the name of an embedded model")
    parser.add_argument("--backend", type=backend, help=BACKENDS_HELP)
    parser.add_argument("--json", metavar="OUT", type=output, help="write everything as JSON; - for stdout")


def _run(options: argparse.Namespace) -> int:
    from danet.embedded import embedded_model
    from danet.estimator import PoseEstimator
    from danet.model_files import model_files

    path = embedded_model(options.model, options.backend) or Path(options.model)
    refuse_over(options.json, [path])
    cpu = read_cpu()
    with PoseEstimator(options.model, backend=options.backend) as estimator:
        spec, precision, tuning = estimator.spec, estimator.precision, estimator.tuning
        settings = estimator.settings
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": sum(part.stat().st_size for part in model_files(path) if part.is_file()),
        "input": ["N", *spec.input_size, 3],
        "output": ["N", *_heatmaps_shape(path, spec)],
        "runs_in": precision,
        **_tuning_facts(tuning, settings),
        **_network_facts(path),
        "cpu": asdict(cpu),
        "spec": asdict(spec),
    }
    if options.json is not None:
        write_json(facts, options.json)
    if options.json != "-":
        _print(facts)
    return 0


def _heatmaps_shape(path: Path, spec: ModelSpec) -> tuple[int, ...]:
    """Of one person; TFLite files have the keypoints last."""
    keypoints = len(spec.keypoints)
    return (*spec.heatmap_size, keypoints) if path.suffix.lower() == ".tflite" else (keypoints, *spec.heatmap_size)


def _tuning_facts(found: FoundTuning, settings: Settings) -> dict[str, Any]:
    """What was measured here, as far as it holds, and the settings that are used with or without it."""
    facts: dict[str, Any] = {"settings": str(settings), "tuning": found.note}
    if found.tuning is None:
        return facts
    admitted = [one for one in found.tuning.precisions if one.admitted]
    fastest = max(admitted, key=lambda one: one.speed)
    measured = ", ".join(
        f"{one.precision} {one.speed:.2f}{'' if one.admitted else f' (moves {one.moved:.1%} of the keypoints)'}"
        for one in found.tuning.precisions
    )
    return {**facts, "fastest_precision": f"{fastest.precision} (relative speeds: {measured})"}


def _network_facts(path: Path) -> dict[str, Any]:
    for describe in announced(DESCRIPTIONS):
        facts: dict[str, Any] | None = describe(path)
        if facts:
            return facts
    return {}


def _print(facts: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    spec, cpu = facts.pop("spec"), facts.pop("cpu")
    size = facts.pop("bytes")
    table.add_row("file", f"{facts.pop('file')} ({size / 1e6:.2f} MB)")
    table.add_row("input", f"uint8 {spec['color_order']} {' x '.join(map(str, facts.pop('input')))}")
    table.add_row("output", f"float32 {' x '.join(map(str, facts.pop('output')))}")
    for key, value in facts.items():
        table.add_row(key.replace("_", " "), str(value))
    for key, value in spec.items():
        if key == "metrics":
            for metric in value:
                table.add_row(metric["name"], f"{metric['value']:.3f} on {metric['data']} ({metric['method']})")
        elif key not in ("input_size", "color_order", "skeleton", "flip_pairs", "keypoints"):
            table.add_row(key.replace("_", " "), "-" if value is None else str(value))
    table.add_row("keypoints", f"{len(spec['keypoints'])}: {', '.join(spec['keypoints'][:3])}, ...")
    table.add_row("CPU", f"{cpu['name']}, {cpu['cores']} cores; {', '.join(cpu['features']) or 'features unknown'}")
    human().print(table)


COMMAND = Command("info", "Tell what a model file is and how this machine runs it.", _add_arguments, _run)
