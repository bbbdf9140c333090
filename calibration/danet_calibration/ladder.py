"""The ladder of strategies, from the fastest file to the most accurate; the first that passes is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import ceil

from danet_calibration.results import GroupCost
from danet_calibration.strategy import Strategy

WIDENINGS = (0.25, 0.5)
"""Parts of the groups, the most costly, that a wider scope leaves in float."""
Rung = tuple[str, Strategy]


def ladder(first: Strategy, sensitivity: Callable[[], Sequence[GroupCost]]) -> Iterator[Rung]:
    """The rungs: the first strategy, masks as trained, features in float, wider scopes, NNCF's accuracy control.

    Args:
        first: the strategy to begin with.
        sensitivity: measures the groups that `first` quantizes, most costly first; called for
            the rungs after "features in float".
    """
    yield "default", first
    if first.coarse_masks:
        first = replace(first, coarse_masks=())
        yield "masks for every cell", first
    if first.byte_features:
        first = replace(first, byte_features=False)
        yield "features in float", first
    ranked = [cost.group for cost in sensitivity()]
    wider = first
    for part in WIDENINGS:
        groups = tuple(ranked[: ceil(part * len(ranked))])
        if len(groups) == len(ranked):
            break
        wider = first.widened(groups)
        yield f"wider scope, {len(groups)} of {len(ranked)} groups", wider
    yield "accuracy-aware", replace(wider, accuracy_control=True)
