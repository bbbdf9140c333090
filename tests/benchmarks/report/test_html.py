from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from danet_benchmarks.report import html as html_module
from danet_benchmarks.report.html import to_html
from danet_benchmarks.report.plot import Plot
from danet_benchmarks.results import Report

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Tags that match, and the texts of table lines."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.lines: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "tr" in self.open:
            self.lines[-1] += f" {data}"


@pytest.fixture(scope="module")
def html(full: Report, plots: dict[str, Plot], svgs: dict[str, str]) -> str:
    """With the plots that the session drew; the pages further down draw their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html_module, "make_plots", lambda _: plots.values())
        patch.setattr(html_module, "to_svg", lambda _, name, __: svgs[name])
        return to_html(full)


def test_it_needs_nothing_else(html: str) -> None:
    for reference in ("http", "//", "<script", "<link", "<img", "@import", "src="):
        assert reference not in re.sub(r'">\.\./.*', "", html), reference
    assert set(re.findall(r"url\((.)", html)) == {"#"}


def test_it_adapts_to_phone_and_dark(html: str) -> None:
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "@media (prefers-color-scheme: dark)" in html
    for name in set(re.findall(r"var\(--([a-z0-9-]+)", html)):
        assert html.count(f"--{name}:") == (1 if name == "font" else 2), name


def test_every_row_and_fact_is_there(full: Report, html: str) -> None:
    page = Page(html)
    lines = [" ".join(line.split()) for line in page.lines]
    for row in full.rows:
        start = f"{row.case.name} {row.case.backend} {row.case.precision} b8 t{row.case.threads} "
        assert any(line.startswith(start) for line in lines)
    assert f"command {full.command}" in lines
    assert f"processor {full.machine.cpu}" in lines
    assert any("out of memory while compiling | batch 8" in line for line in lines)
    assert all(note in page.text for note in full.notes)
    assert full.started in page.text
    assert html.count("<svg ") == 6


def test_names_are_texts(full: Report) -> None:
    case = replace(full.rows[0].case, name="</td><script>alert(1)</script>")
    html = to_html(replace(full, command="<b>&", rows=(replace(full.rows[0], case=case),)))
    assert "<script" not in html
    assert "&lt;/td&gt;&lt;script&gt;" in html
    assert "<b>" not in html
    Page(html)


def test_partial(full: Report) -> None:
    html = to_html(replace(full, complete=False, rows=(full.rows[-1],), notes=()))
    page = Page(html)
    assert "cut short" in page.text
    assert page.text.count("Left out: ") == 5
    assert html.count("<svg ") == 1


def test_nothing_measured(full: Report) -> None:
    Page(to_html(replace(full, rows=(), notes=(), complete=False)))
