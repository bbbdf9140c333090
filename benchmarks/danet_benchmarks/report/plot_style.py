"""How plots look: one set of colours with a light and a dark form, and SVG that lives inside a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any, Literal

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

INK, MUTED, GRID, PAPER = "#1f2329", "#5f6873", "#d9dee4", "#fdfefe"
SERIES = ("#1f5fbf", "#c2570c", "#14803c", "#8a3fc4", "#b8123f", "#0c7487", "#866010", "#586472")
"""Told apart by people with the common colour blindnesses when used from the left."""
NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "page"} | {
    color: f"series-{number}" for number, color in enumerate(SERIES, start=1)
}
"""The page's style sheet says what these are in the light and in the dark."""

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a model's name may have dollars in it
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and set in the page's font
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@contextmanager
def plot_settings() -> Iterator[None]:
    """Draw and save inside this."""
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # only its width is guessed; the reader's font has it
        yield


def new_axes(width: float = 5.6, height: float = 4.2) -> tuple[Figure, Axes]:
    """An empty figure of a size in inches; at 5.6 its letters are as large as the page's on a phone."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend_below(figure: Figure, entries: Mapping[str, Artist | Container], columns: int) -> None:
    """A legend under the axes."""
    texts = [f" {label}" for label in entries]  # matplotlib leaves out labels that begin with an underscore
    handles: list[Any] = list(entries.values())
    figure.legend(handles, texts, loc="outside lower left", ncols=columns, handletextpad=0.3)


def plain_log_scale(axes: Axes, name: Literal["x", "y"]) -> None:
    """A logarithmic axis with numbers as people write them; call it when everything is drawn."""
    axis = axes.xaxis if name == "x" else axes.yaxis
    axes.set(**{f"{name}scale": "log"})
    low, high = axis.get_view_interval()
    axes.minorticks_off()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if high > 8 * low else MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def to_svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an <svg> element that stands by itself: nothing is loaded, colours are the page's.

    Args:
        figure: drawn within `plot_settings`.
        name: put before all ids, so that several plots can be in one page.
        title: what a screen reader calls it.
    """
    buffer = io.StringIO()
    with plot_settings(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>', "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)', f"{name}-", svg.replace("xlink:href", "href"))
    for color, variable in NAMES.items():
        svg = svg.replace(color, f"var(--{variable}, {color})")
    svg = svg.replace("'DejaVu Sans'", "var(--font, 'DejaVu Sans')")
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    return f'<svg {box[0]} role="img" aria-label="{escape(title)}">' + svg[svg.index(">") + 1 :]
