"""What is handed out: the wheel and the sdist, built once from the files of this checkout alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = "DANET_DIST"
"""Environment variable: a folder that holds a wheel and an sdist of this checkout already, as in CI's release job."""


def listed_files() -> list[str]:
    """Tracked files, and new ones that git does not ignore: what a clone would hold."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    return [name for name in found.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel and the sdist."""
    if given := os.environ.get(FOLDER):
        return ROOT / given
    pytest.importorskip("build", reason=f"building needs the package build, or a folder named by {FOLDER}")
    clone, made = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    for name in listed_files():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, clone / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", made, clone], check=True, capture_output=True, timeout=600
    )
    return made


@pytest.fixture(scope="session")
def wheel(dist: Path) -> zipfile.ZipFile:
    """The wheel, opened."""
    (path,) = dist.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="session")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())
