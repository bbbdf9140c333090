"""Disks that are small or cannot be written, and commands that run on them as processes of their own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.cases import GOLDEN


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory with the options given ("size=64k"), or remounts it ("remount,ro")."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "danet-test", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            done = False
        if not done:
            pytest.skip("mounting a small tmpfs is not permitted here")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def tiny_folder(scene_file: Path, tmp_path: Path) -> Path:
    """A folder with the golden tiny network and a picture."""
    folder = tmp_path / "given"
    folder.mkdir()
    for source in (GOLDEN / "tiny.xml", GOLDEN / "tiny.bin", scene_file):
        shutil.copy(source, folder / source.name)
    return folder
