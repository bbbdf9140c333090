"""Which groups of operations cost how much accuracy: each quantized alone, the rest in float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from danet_calibration.job import Job, attempt, float_aps, known_attempt
from danet_calibration.results import GroupCost
from danet_calibration.strategy import Strategy


def measure_sensitivity(job: Job, strategy: Strategy, *, everything: bool = False) -> list[GroupCost]:
    """The cost of each group on what is tuned on, most costly first; measured costs are kept for the next run.

    Args:
        job: what is quantized.
        strategy: how; the scope alone is changed.
        everything: also groups that the strategy leaves in float.

    Raises:
        BudgetSpentError: the minutes are over.
    """
    part = job.on_tuning()
    references = float_aps(part)
    groups = list(dict.fromkeys(placed.group for placed in job.operations))
    return sorted(
        (
            _cost(part, strategy, group, groups, references)
            for group in groups
            if everything or not _is_float(job, strategy, group)
        ),
        key=lambda cost: cost.drop,
        reverse=True,
    )


def _is_float(job: Job, strategy: Strategy, group: str) -> bool:
    role = next(placed.role for placed in job.operations if placed.group == group)
    return role in strategy.float_roles or group in strategy.float_groups


def _cost(job: Job, strategy: Strategy, group: str, groups: list[str], references: Sequence[float]) -> GroupCost:
    others = tuple(other for other in groups if other != group)
    alone = replace(strategy.scope_alone(), float_roles=(), float_groups=others)
    words = f"{group} alone"
    done = known_attempt(job, words, alone, references) or attempt(job, words, alone, references)[0]
    members = [placed.operation for placed in job.operations if placed.group == group]
    return GroupCost(
        group=group,
        operations=len(members),
        weights=sum(member.weights for member in members),
        ap=done.ap,
        drop=done.drop,
        in_float=_is_float(job, strategy, group),
    )
