from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

PROGRAM = """
import subprocess, sys, time

calls = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.fork"):
        calls.append((event, str(arguments)))
sys.addaudithook(watch)

{start}
time.sleep(1.0)  # what reports in the background gets its time
print(calls)
"""
RUN = """
import numpy as np
from danet import PoseEstimator
PoseEstimator("danet72", threads=1).infer(np.zeros((64, 64, 3), np.uint8))
"""


def calls_of(start: str, home: Path) -> str:
    """What a program asks of the network, or of a process of its own, on a machine that is no CI runner."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment["HOME"] = str(home)  # nobody has consented or declined
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(start=start)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=120)
    return done.stdout.strip().splitlines()[-1]


def test_running_a_model_asks_nothing_of_the_network(tmp_path: Path) -> None:
    assert calls_of(RUN, tmp_path) == "[]"
    assert not list(tmp_path.glob("intel"))


def test_openvino_alone_would(tmp_path: Path) -> None:
    """If this fails, OpenVINO has stopped to report its import, and `danet/__init__.py` need not keep it from that."""
    try:
        version("openvino-telemetry")
    except PackageNotFoundError:
        pytest.skip("openvino-telemetry is not installed")
    assert calls_of("import openvino", tmp_path) != "[]"
