"""Commands killed while they write; the whole is `python -m tests.faults.kill_writers`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from danet.files import move_together, scratch_beside
from tests.faults.cases import CASES
from tests.faults.kill_writers import kill_writers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")

KILLED_AT_A_RENAME = """
import os, signal, sys
from pathlib import Path
from danet.files import move_together, scratch_beside
path, left = Path(sys.argv[1]), int(sys.argv[2])
rename = Path.replace
def replace(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(self, target)
Path.replace = replace
with scratch_beside(path) as scratch:
    files = [scratch / path.with_suffix(suffix).name for suffix in (".xml", ".bin")]
    for file in files:
        file.write_text("new")
    move_together(files, path.parent)
"""


@pytest.mark.parametrize("renames", range(5))
def test_killed_between_any_two_renames(renames: int, tmp_path: Path) -> None:
    """Never the old .xml with the new .bin, and the next run cleans up."""
    path = tmp_path / "model.xml"
    for suffix in (".xml", ".bin"):
        path.with_suffix(suffix).write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED_AT_A_RENAME, str(path), str(renames)], timeout=60, check=False)
    assert done.returncode == (-signal.SIGKILL if renames < 4 else 0)
    found = {
        suffix: path.with_suffix(suffix).read_text() for suffix in (".xml", ".bin") if path.with_suffix(suffix).exists()
    }
    assert ".xml" not in found or found == {".xml": "old", ".bin": "old"} or found == {".xml": "new", ".bin": "new"}
    with scratch_beside(path) as scratch:
        assert [one for one in tmp_path.iterdir() if one.name.startswith(".")] == [scratch]
        for suffix in (".xml", ".bin"):
            (scratch / f"model{suffix}").write_text("newest")
        move_together([scratch / "model.xml", scratch / "model.bin"], tmp_path)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"model.xml": "newest", "model.bin": "newest"}


@pytest.mark.long
def test_infer_killed_twice() -> None:
    """Keeps the program itself alive."""
    tally = kill_writers([case for case in CASES if case.name == "infer"], moments=2, seed=5)["infer"]
    assert tally.moments == 2
    assert tally.complaints == []
    assert tally.reruns == tally.reruns_that_worked >= 1
    assert tally.left_after_rerun == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_command_killed_at_50_moments(case: object) -> None:
    (tally,) = kill_writers([case], moments=50, seed=1).values()  # type: ignore[list-item]
    assert tally.complaints == []
    assert tally.left_after_rerun == 0
