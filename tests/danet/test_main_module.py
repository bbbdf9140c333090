"""`python -m danet` is the `danet` command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "danet", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)


def test_it_is_the_command() -> None:
    told = run("--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("usage: danet [-h]")


def test_wrong_use_and_failure_have_their_status(tmp_path: Path) -> None:
    wrong = run("info")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("usage: danet info [-h]")
    failed = run("info", str(tmp_path / "gone.xml"))
    assert failed.returncode == 1
    assert failed.stderr.startswith("danet: error: ")
    assert len(failed.stderr.splitlines()) == 1


def test_importing_it_runs_nothing() -> None:
    """As processes do that are started by `spawn`."""
    done = subprocess.run(
        [sys.executable, "-c", "import danet.__main__"], text=True, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
