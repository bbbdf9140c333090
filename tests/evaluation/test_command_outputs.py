"""`danet evaluate` writes over nothing that it reads, and refuses before the work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from danet.commands.main import main

POINTS = [[20 + joint, 30 + 2 * joint] for joint in range(17)]
GOLDEN = Path(__file__).parents[1] / "compatibility" / "golden" / "version-1"
Refused = Callable[..., str]


@pytest.fixture
def folder(write_folder: Any, annotate: Any) -> Path:
    found: Path = write_folder([1], [annotate(1, 1, POINTS)])
    return found


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, danet: Any) -> Refused:
    """The error of a command line that must fail before any person is measured, and leave all files as they are."""

    def measure(*_: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr("danet_evaluation.command._measure", measure)

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}

    def run(*arguments: object, status: int = 1) -> str:
        before = content()
        done = danet("evaluate", *arguments)
        assert done.status == status, done.err
        assert content() == before
        return str(done.err)

    return run


@pytest.mark.parametrize("name", ["tiny.xml", "tiny.bin", "link.json"])
def test_over_the_model(name: str, folder: Path, tmp_path: Path, refused: Refused) -> None:
    for suffix in (".xml", ".bin"):
        shutil.copy(GOLDEN / f"tiny{suffix}", tmp_path)
    if name == "link.json":
        (tmp_path / name).symlink_to(tmp_path / "tiny.xml")
    told = refused(tmp_path / "tiny.xml", "--data", folder, "--json", tmp_path / name)
    assert f"{name} is read; write to another file" in told


def test_over_the_embedded_model(folder: Path, tmp_path: Path, refused: Refused) -> None:
    from danet.embedded import embedded_model

    (tmp_path / "out.json").symlink_to(embedded_model("danet72") or "")
    assert "out.json is read" in refused("danet72", "--data", folder, "--json", tmp_path / "out.json")


def test_over_the_annotations(folder: Path, refused: Refused) -> None:
    told = refused("nobody", "--backend", "null", "--data", folder, "--json", folder / "val.json")
    assert "val.json is read" in told


def test_over_the_boxes_file(folder: Path, tmp_path: Path, refused: Refused) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([]))
    told = refused("nobody", "--backend", "null", "--data", folder, "--boxes-file", boxes, "--json", boxes)
    assert "boxes.json is read" in told


@pytest.mark.parametrize("more", [[], ["--limit", "1"]])
def test_over_a_picture_also_one_beyond_the_limit(
    more: list[str], write_folder: Any, annotate: Any, refused: Refused
) -> None:
    folder = write_folder([1, 2], [annotate(1, 1, POINTS), annotate(2, 2, POINTS)])
    picture = folder / "images" / "002.png"
    for option in ("--json", "--sheet"):
        told = refused("nobody", "--backend", "null", "--data", folder, option, picture, *more)
        assert "002.png is read; write to another file" in told


def test_a_folder(folder: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out.png").mkdir()
    for option in ("--json", "--sheet"):
        told = refused("nobody", "--backend", "null", "--data", folder, option, tmp_path / "out.png")
        assert "out.png: a folder, expected a file to write" in told


def test_no_name_and_one_name_for_both(folder: Path, tmp_path: Path, refused: Refused) -> None:
    for option in ("--json", "--sheet"):
        assert "an empty name" in refused("nobody", "--backend", "null", "--data", folder, option, "", status=2)
    both = ("--json", tmp_path / "a.png", "--sheet", tmp_path / "." / "a.png")
    told = refused("nobody", "--backend", "null", "--data", folder, *both, status=2)
    assert "--json and --sheet are both" in told


def test_beside_what_is_read(folder: Path) -> None:
    target, sheet = folder / "figures.json", folder / "images" / "sheet.png"
    arguments = ["evaluate", "nobody", "--backend", "null", "--data", folder, "--json", target, "--sheet", sheet]
    assert main([*map(str, arguments)]) == 0
    assert json.loads(target.read_text())["persons"] == 1
    assert sheet.is_file()
