from __future__ import annotations

import re
from dataclasses import replace

from danet_benchmarks.report.markdown import to_markdown
from danet_benchmarks.results import Report


def tables(text: str) -> list[list[str]]:
    return [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]


def test_every_table_is_whole(full: Report) -> None:
    found = tables(to_markdown(full))
    assert len(found) == 8
    for lines in found:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(cells) == 1
        assert re.fullmatch(r"\|(---:?\|)+", lines[1])


def test_content(full: Report) -> None:
    text = to_markdown(full)
    assert text.startswith("# Benchmark on Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz, 2026-11-23\n")
    for row in full.rows:
        start = f"| {row.case.name} | {row.case.backend} | {row.case.precision} | b8 t{row.case.threads} |"
        assert start in text
    assert r"while compiling \| batch 8 |" in text
    assert "- The machine was noisy" in text
    assert "## Accuracy on people17/person\\_keypoints\\_val" in text
    assert "| danet72 | openvino | INT8 | 32.3 |" in text


def test_names_cannot_break_the_page(full: Report) -> None:
    case = replace(full.rows[0].case, name="a|b\n<script>alert(1)</script>&amp; *x* `y` [z](u)")
    text = to_markdown(replace(full, rows=(replace(full.rows[0], case=case),)))
    assert "<script>" not in text.replace(r"\<", "")
    assert r"| a\|b \<script\>alert(1)\</script\>&amp;amp; \*x\* \`y\` \[z\](u) | openvino |" in text


def test_partial(full: Report) -> None:
    text = to_markdown(replace(full, complete=False, rows=(), notes=()))
    assert "cut short" in text
    assert "## Notes" not in text
    assert len(tables(text)) == 2  # run and machine
