"""Commands that are told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see how far a command is")
PROGRAM = Path(sys.executable).with_name("danet")
LINES = {
    "tune": "tune {given}/tiny.xml --seconds 60 --threads 1 --save",
    "evaluate": "evaluate danet72 --rendered 2000 --threads 1 --json {out}/figures.json",
    "demo": "demo --threads 1 --out {out}",
}


def at_work(process: subprocess.Popen[str]) -> bool:
    return "openvino_intel_cpu_plugin" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
@pytest.mark.parametrize("name", LINES)
def test_an_end_in_one_line(
    name: str, number: signal.Signals, status: int, word: str, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    line = [part.format(given=tiny_folder, out=out) for part in LINES[name].split()]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with subprocess.Popen([PROGRAM, *line], stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            end = time.monotonic() + 60
            while process.poll() is None and not at_work(process) and time.monotonic() < end:
                time.sleep(0.02)
            process.send_signal(number)
            err = process.communicate(timeout=60)[1]
        finally:
            process.kill()  # one that does not end must not run beside the other tests
    assert process.returncode == status, err
    assert err.strip().splitlines()[-1] == f"danet: error: {word}"
    assert "Traceback" not in err
    for folder in (out, tiny_folder):
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
