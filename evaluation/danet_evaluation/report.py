"""Figures as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from rich.table import Table

from danet_evaluation.evaluate import GROUND_TRUTH, PCK_ALPHA, Evaluation, Protocol
from danet_evaluation.keypoint_ap import KeypointAP
from danet_evaluation.mpii import PCKH_ALPHA, PckhEvaluation
from danet_evaluation.paper import PublishedRow
from danet_evaluation.pck import GROUPS, Pck
from danet_evaluation.visibility import VisibilityFigures

LIMB_GROUPS = tuple(group for group in GROUPS if group != "Head")
"""The columns of LSP's published tables that COCO's keypoints can fill."""
AP_FIGURES = ("AP", "AP50", "AP75", "AP M", "AP L", "AR")
"""Columns of `_cells`."""


def percent(value: float | None) -> str:
    """A share as percent with one decimal; "-" where there is none."""
    return "-" if value is None or isnan(value) else f"{100 * value:.1f}"


def ap_table(evaluation: Evaluation, model: str) -> Table:
    """COCO's figures, over all and by source."""
    table = _table(f"{model} on {evaluation.data}", _caption(evaluation.protocol, evaluation.pictures))
    table.add_column("pictures of")
    for heading in ("persons", *AP_FIGURES, f"PCK@{PCK_ALPHA}"):
        table.add_column(heading, justify="right")
    rows = [("all", evaluation.persons, evaluation.figures, evaluation.pck)]
    rows += [(part.source, part.persons, part.figures, part.pck) for part in evaluation.sources]
    for number, (name, persons, figures, share) in enumerate(rows):
        cells = [*_cells(figures), percent(share.mean if share else None)]
        table.add_row(name, str(persons), *cells, end_section=number == 0)
    return table


def joint_table(evaluation: Evaluation) -> Table:
    """PCK by group of joints, over all and by source."""
    table = _table(
        f"PCK@{PCK_ALPHA} of the torso (left shoulder to right hip), percent",
        "LSP's published tables also count head top and neck, which COCO's keypoints lack",
    )
    table.add_column("pictures of", no_wrap=True)
    for heading in ("points", *LIMB_GROUPS, "mean"):
        table.add_column(heading, justify="right")
    rows = [("all", evaluation.pck), *((part.source, part.pck) for part in evaluation.sources)]
    for number, (name, share) in enumerate(rows):
        if share is not None:
            table.add_row(name, str(share.labelled), *_shares(share, LIMB_GROUPS), end_section=number == 0)
    return table


def visibility_table(visibility: VisibilityFigures) -> Table:
    """AP by keypoints in sight, and with the hidden ones left out."""
    hidden = 100 * visibility.hidden / visibility.labelled
    table = _table(
        "AP by keypoints in sight", f"{hidden:.1f} % of {visibility.labelled} labelled keypoints are hidden (v = 1)"
    )
    table.add_column("persons with")
    for heading in ("persons", *AP_FIGURES):
        table.add_column(heading, justify="right")
    for group in visibility.groups:
        counts = f"{group.least} to {group.most}" if group.most else "none"
        table.add_row(f"{counts} in sight", str(group.persons), *_cells(group.figures))
    if visibility.in_sight:
        persons = sum(group.persons for group in visibility.groups if group.least)
        table.add_section()
        table.add_row("any, the hidden left out", str(persons), *_cells(visibility.in_sight))
    return table


def pckh_table(evaluation: PckhEvaluation, model: str) -> Table:
    """PCKh by group of joints, as published tables of MPII."""
    protocol = Protocol(flip_test=evaluation.flip_test)
    table = _table(f"{model} on {evaluation.data}", _caption(protocol, evaluation.pictures))
    for heading in ("persons", "points", *GROUPS, f"PCKh@{PCKH_ALPHA}"):
        table.add_column(heading, justify="right")
    table.add_row(str(evaluation.persons), str(evaluation.pckh.labelled), *_shares(evaluation.pckh, tuple(GROUPS)))
    return table


def beside(ap: float, recorded: float | None, published: PublishedRow | None) -> list[str]:
    """A line for each known figure that an AP may be compared with."""
    lines = []
    if recorded is not None:
        lines.append(f"recorded in the file: AP {percent(recorded)}, here {100 * (ap - recorded):+.1f}")
    if published is not None:
        lines.append(f"published, {published.title}: AP {percent(published.ap)}, here {100 * (ap - published.ap):+.1f}")
    return lines


def _table(title: str, caption: str) -> Table:
    return Table(title=title, caption=caption)


def _caption(protocol: Protocol, pictures: int) -> str:
    least = "" if protocol.min_box_score is None else f" of {protocol.min_box_score:g} and more"
    nms = "" if protocol.boxes == GROUND_TRUTH else ", OKS NMS"
    test = "flip test" if protocol.flip_test else "no flip test"
    return f"{pictures} pictures; boxes: {protocol.boxes}{least}{nms}; {test}"


def _cells(figures: KeypointAP) -> list[str]:
    shown = (figures.ap, figures.ap50, figures.ap75, figures.ap_medium, figures.ap_large, figures.ar)
    return [percent(value) for value in shown]


def _shares(share: Pck, groups: Sequence[str]) -> list[str]:
    known = {one.group: one.value for one in share.groups}
    return [*(percent(known.get(group)) for group in groups), percent(share.mean)]
