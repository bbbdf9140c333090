from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from danet.errors import InputError, MissingExtraError
from danet_benchmarks.report import html as html_module
from danet_benchmarks.report.json_form import load_report
from danet_benchmarks.report.write import write_json, write_report
from danet_benchmarks.results import Report, Spread

FILES = ["report.csv", "report.html", "report.json", "report.md"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small(full: Report) -> Report:
    return replace(full, rows=full.rows[:2])


page = cache(html_module.to_html)


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each report's page, whose plots take a second, is made once."""
    monkeypatch.setattr(html_module, "to_html", page)


def test_four_files_and_nothing_else(small: Report, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "cpu-2026-11-23"
    write_report(small, folder)
    assert names(folder) == FILES
    assert load_report(folder / "report.json") == small
    assert all((folder / name).stat().st_size > 500 for name in FILES)


@pytest.mark.long
def test_again_over_the_old_one(small: Report, tmp_path: Path) -> None:
    write_report(replace(small, rows=small.rows[:1], complete=False), tmp_path)
    write_report(small, tmp_path)
    assert names(tmp_path) == FILES
    assert load_report(tmp_path / "report.json").complete


def test_json_alone(small: Report, tmp_path: Path) -> None:
    write_report(small, tmp_path / "new")  # whose other forms would be those of another run
    write_json(small, tmp_path / "new")
    assert names(tmp_path / "new") == ["report.json"]


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_partial(full: Report, tmp_path: Path, rows: int) -> None:
    unmeasured = tuple(replace(row, speed=None, accuracy=None) for row in full.rows[-rows:] if rows)
    partial = replace(full, rows=unmeasured, complete=False, notes=())
    write_report(partial, tmp_path)
    assert names(tmp_path) == FILES
    assert load_report(tmp_path / "report.json") == partial


def test_a_figure_that_is_no_number_costs_its_part_only(
    small: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_module, "to_html", lambda _: "the page, of which nothing is asked here")
    speed = small.rows[0].speed
    assert speed is not None
    bad = replace(small.rows[0], speed=replace(speed, network_pps=Spread((float("inf"),))))
    write_report(replace(small, rows=(bad, small.rows[1])), tmp_path)
    first, second = load_report(tmp_path / "report.json").rows
    assert (first.speed, first.accuracy) == (None, small.rows[0].accuracy)
    assert first.error == "speed: network_pps: rounds[0]: inf, expected a finite number"
    assert second == small.rows[1]
    accuracy = small.rows[0].accuracy
    assert accuracy is not None
    bad = replace(small.rows[0], accuracy=replace(accuracy, ap=float("nan")))
    write_report(replace(small, rows=(bad, small.rows[1])), tmp_path)
    first = load_report(tmp_path / "report.json").rows[0]
    assert (first.speed, first.accuracy) == (speed, None)


# what stops writing


def test_a_folder_that_is_a_file(small: Report, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for target in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(InputError, match=r"report\.json: not written"):
            write_report(small, target)
    assert (tmp_path / "taken").read_text() == "mine"


def fail_at(name: str, number: int) -> Callable[..., Any]:
    real = Path.write_text

    def write(path: Path, text: str, **options: Any) -> int:
        if path.name != name:
            return real(path, text, **options)
        real(path, text[: len(text) // 2], **options)
        raise OSError(number, "No space left on device", str(path))

    return write


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk(small: Report, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", fail_at(name, errno.ENOSPC))
    with pytest.raises(InputError, match=rf"{name}: not written \(No space left on device\)") as caught:
        write_report(small, tmp_path)
    assert "\n" not in str(caught.value)
    order = ["report.json", "report.md", "report.csv", "report.html"]
    assert names(tmp_path) == sorted(order[: order.index(name)])  # whole ones, no half one, no litter


def test_a_full_disk_leaves_the_old_report(small: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(small, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    monkeypatch.setattr(Path, "write_text", fail_at("report.json", errno.ENOSPC))
    with pytest.raises(InputError):
        write_report(replace(small, rows=()), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_a_missing_library_costs_the_page_only(
    small: Report, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("danet_benchmarks.report.")]:
        if module.rpartition(".")[2] not in ("write", "json_form", "csv_form", "markdown"):
            monkeypatch.delitem(sys.modules, module)
    for module in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent(library), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=rf"page with plots needs {library}.*danet-edge\[bench\]"):
        write_report(small, tmp_path)
    assert names(tmp_path) == ["report.csv", "report.json", "report.md"]


class Absent:
    def __init__(self, library: str) -> None:
        self.library = library

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == self.library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
