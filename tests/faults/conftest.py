"""What commands that run as processes of their own are given."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.cases import GOLDEN


@pytest.fixture
def tiny_folder(scene_file: Path, tmp_path: Path) -> Path:
    """A folder with the golden tiny network and a picture."""
    folder = tmp_path / "given"
    folder.mkdir()
    for source in (GOLDEN / "tiny.xml", GOLDEN / "tiny.bin", scene_file):
        shutil.copy(source, folder / source.name)
    return folder
