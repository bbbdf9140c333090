"""Processes that may have no more memory: an error in one line, and nobody else is harmed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

resource = pytest.importorskip("resource", reason="limits of memory are set through POSIX's resource")
if sys.platform == "darwin":
    pytest.skip("macOS does not keep to RLIMIT_AS", allow_module_level=True)

LIMITED = """
import contextlib, resource, sys
import danet.estimator  # NumPy's libraries end the process where they cannot start their threads
from danet.commands.main import main
with contextlib.suppress(SystemExit):
    main(["--version"])  # Python takes a folder that it has no memory to list for empty, and finds no danet in it
with open("/proc/self/status") as status:  # what is mapped already, of NumPy's threads above all, depends on the cores
    (mapped,) = (int(line.split()[1]) << 10 for line in status if line.startswith("VmSize:"))
limit = mapped + (int(sys.argv[1]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.exit(main(sys.argv[2:]))
"""


def limited(mib: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command that may map `mib` more than `import danet` has mapped."""
    line = [sys.executable, "-c", LIMITED, str(mib), *map(str, arguments)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env=environment)


def test_a_runtime_that_does_not_fit(tiny_folder: Path, tmp_path: Path) -> None:
    """OpenVINO's core fits, its plugin for CPUs (61 MiB in one file) does not.

    A little more and it is OpenVINO's threads that do not fit, and some C libraries end the process at that.
    """
    out = tmp_path / "poses.json"
    done = limited(80, "infer", tiny_folder / "tiny.xml", tiny_folder / "scene.png", "--json", out)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("danet: error: openvino: device 'CPU': ")
    assert line.endswith("failed to map segment from shared object")
    assert not out.exists()


def test_a_giant_picture_that_does_not_fit(tiny_folder: Path, tmp_path: Path) -> None:
    giant = tmp_path / "giant.png"
    cv2.imwrite(str(giant), np.zeros((16_000, 16_000), np.uint8))  # 0.8 GB as BGR
    done = limited(700, "infer", tiny_folder / "tiny.xml", giant, "--threads", "1")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    # OpenCV tells of its own allocation, Python of its own; which one is the last straw depends on the machine
    assert line.startswith("danet: error: ")
    assert "Failed to allocate 768000000 bytes" in line or "out of memory" in line


@pytest.mark.slow
@pytest.mark.parametrize("mib", range(20, 720, 20))
def test_no_limit_gives_a_traceback(mib: int, tiny_folder: Path, tmp_path: Path) -> None:
    """A library of C++ may end the process itself (docs/faults.md); then there is no output, and no half of it."""
    out = tmp_path / "poses.json"
    done = limited(mib, "infer", tiny_folder / "tiny.xml", tiny_folder / "scene.png", "--json", out)
    assert "Traceback" not in done.stderr
    assert out.exists() == (done.returncode == 0)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
