"""Disks that are full, cannot be written, or are not what the command thought."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from danet.files import scratch_beside, write_beside
from tests.faults.cases import CASES, command_line, make_inputs

Disk = Callable[[str], Path]


def ballast(folder: Path, keep: int) -> None:
    """Fill a disk but for `keep` bytes."""
    (folder / "ballast").write_bytes(bytes(shutil.disk_usage(folder).free - keep))


def test_a_full_disk_costs_infer_its_new_file_alone(
    danet_process: Callable[..., Any], disk: Disk, tiny_folder: Path
) -> None:
    folder = disk("size=64k")
    (folder / "poses.json").write_text("old")
    ballast(folder, 0)
    done = danet_process(
        "infer", tiny_folder / "tiny.xml", tiny_folder / "scene.png", "--json", folder / "poses.json", "--threads", "1"
    )
    assert done.status == 1
    last = done.err.strip().splitlines()[-1]
    assert last == (f"danet: error: {folder / 'poses.json'}: No space left on device (0.0 MiB free on {folder})")
    assert (folder / "poses.json").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["ballast", "poses.json"]


def test_a_disk_that_cannot_be_written(danet: Callable[..., Any], disk: Disk, tiny_folder: Path) -> None:
    folder = disk("size=64k")
    (folder / "drawn.png").write_text("old")
    disk("remount,ro,size=64k")
    done = danet("infer", tiny_folder / "tiny.xml", tiny_folder / "scene.png", "--draw", folder / "drawn.png")
    assert done.status == 1
    assert done.err.splitlines()[-1] == f"danet: error: {folder / 'drawn.png'}: Read-only file system"
    assert (folder / "drawn.png").read_text() == "old"


@pytest.mark.parametrize("option", ["--json", "--draw"])
def test_places_that_are_no_files(option: str, danet: Callable[..., Any], tiny_folder: Path, tmp_path: Path) -> None:
    line = ("infer", tiny_folder / "tiny.xml", tiny_folder / "scene.png", option)
    (tmp_path / "file").write_text("mine")
    target = tmp_path / "file" / "sub" / "out.png"
    assert f"{target}: {tmp_path / 'file'} is a file, expected a folder" in danet(*line, target).err
    long = tmp_path / ("n" * 300 + ".png")
    assert "File name too long" in danet(*line, long).err
    (tmp_path / "taken.json").mkdir()
    if option == "--json":
        told = danet(*line, tmp_path / "taken.json")
        assert told.err.strip().splitlines()[-1].endswith("taken.json: a folder, expected a file to write")
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "given", "taken.json"]


def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    path = tmp_path / "there" / "out.json"

    def write() -> None:
        with write_beside(path) as temporary:
            temporary.write_text("new")
            shutil.rmtree(tmp_path / "there")

    with pytest.raises(FileNotFoundError) as caught:
        write()
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_that_a_library_does_not_tell_of(disk: Disk) -> None:
    folder = disk("size=256k")

    def write() -> None:
        with scratch_beside(folder / "model.xml"):
            ballast(folder, 0)
            raise RuntimeError("unexpected pos 64 vs 0")  # as torch.save says

    with pytest.raises(OSError, match="No space left on device") as caught:
        write()
    assert caught.value.filename == str(folder / "model.xml")


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in ("tune", "video")], ids=lambda case: case.name
)
def test_every_command_on_a_full_disk(case: Any, danet_process: Callable[..., Any], disk: Disk, tmp_path: Path) -> None:
    """tune goes on to the user's cache folder; video has tests of its own, since it keeps what was done."""
    make_inputs(tmp_path / "in", [case])
    folder = disk("size=16k")
    done = danet_process(*command_line(case.new, tmp_path / "in", folder)[1:])
    assert done.status == 1, done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("danet: error: ")
    assert "No space left on device" in last
    assert str(folder) in last
    assert "Traceback" not in done.err
    left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    assert [name for name in left if name != ".danet-quantize"] == []
