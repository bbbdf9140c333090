"""The report as one HTML page that needs nothing else: style and plots are inside, no scripts."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.plot_style import to_svg
from danet_benchmarks.report.plots import make_plots
from danet_benchmarks.report.sections import sections
from danet_benchmarks.results import Report


def to_html(report: Report) -> str:
    """The page, as docs/benchmark.md describes it."""
    environment = Environment(
        loader=PackageLoader("danet_benchmarks.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        report=report,
        sections=sections(report),
        plots=[(plot, _svg(plot)) for plot in make_plots(report)],
    )


def _svg(plot: Plot) -> Markup | None:
    return None if plot.figure is None else Markup(to_svg(plot.figure, plot.name, plot.title))
