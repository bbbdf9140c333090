"""One plot of the report."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A figure with what must be said beside it."""

    name: str
    """Of letters and hyphens."""
    title: str
    text: str
    """What the marks are and whose figures they are; without a figure, why there is none."""
    figure: Figure | None = None
