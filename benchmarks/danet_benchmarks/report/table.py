"""The report in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from danet_benchmarks.report.section import Section
from danet_benchmarks.report.sections import sections
from danet_benchmarks.results import Report


def print_table(report: Report, console: Console) -> None:
    """Print every section as a table, then the notes; narrow consoles get fewer columns."""
    for section in sections(report):
        console.print()
        console.print(fitting_table(section, console))
        if section.caption:
            console.print(Text(section.caption, "dim"))
    if report.notes:
        console.print(Text("\nNotes", "bold"))
        for note in report.notes:
            console.print(plain(f"- {note}"))


def fitting_table(section: Section, console: Console) -> Table:
    """The table with as many of the columns as the console is wide; a table still too wide breaks its texts."""
    ranks = sorted({column.rank for column in section.columns}, reverse=True)
    tables = (_table(section, rank) for rank in ranks)
    wide = console.options.update(max_width=10_000)
    for table in tables:
        if Measurement.get(console, wide, table).maximum <= console.width:
            return table
    return table


def plain(text: str, style: str = "") -> Text:
    """A text as it is: no markup is read in it, and no file name steers the terminal."""
    return Text("".join(char if char.isprintable() or char == "\n" else "?" for char in text), style)


def _table(section: Section, highest_rank: int) -> Table:
    kept = [index for index, column in enumerate(section.columns) if column.rank <= highest_rank]
    lines = max(section.columns[index].heading.count("\n") for index in kept)
    table = Table(
        title=Text(section.title, "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        collapse_padding=True,
        pad_edge=False,
        show_header=section.headed,
    )
    for column in (section.columns[index] for index in kept):
        above = "\n" * (lines - column.heading.count("\n"))  # headings stand on the rule, cells hang from it
        heading = Text(above + column.heading)
        table.add_column(heading, justify="right" if column.right else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*(plain(row[index]) for index in kept))
    return table
