"""A camera app installs no torch. What it uses must work where torch and the other extras are absent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.absent import without

BLOCKED = ("torch", "safetensors", "onnx", "onnxruntime", "pycocotools", "tensorboard", "supervision", "nncf", "PIL")
TELL = """
import atexit
from pathlib import Path

@atexit.register
def tell():
    Path(__file__).with_name("loaded.txt").write_text(" ".join(sorted(sys.modules)))
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A program of this installation, in a Python that lacks the blocked packages."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(without(*BLOCKED) + TELL)

    def start(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *map(str, arguments)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
            },
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
        loaded = set((site / "loaded.txt").read_text().split())
        assert "numpy" in loaded or arguments[0] == "--version"  # the list is real
        assert not loaded & set(BLOCKED)
        return done

    return start


def test_blocked_packages_are_absent(run: Run) -> None:
    program = f"""
import importlib
import numpy
for name in {BLOCKED!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    done = run("python", "-c", program)
    assert done.stdout.splitlines() == [f"No module named '{name}'" for name in BLOCKED]


def test_runtime_on_an_ir(run: Run, tiny_ir: Path) -> None:
    program = f"""
import sys
import numpy as np
from danet import PoseEstimator
with PoseEstimator({str(tiny_ir)!r}) as estimator:
    poses = estimator.infer(np.zeros((90, 80, 3), np.uint8), [[1, 2, 50, 80], [3, 4, 60, 70]])
print(poses.keypoints.shape, "torch" in sys.modules)
"""
    done = run("python", "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 17, 2) False\n", "")


NEED_AN_EXTRA = {
    "danet.__pyinstaller.hook-danet",
    "danet.app.handlers",
    "danet.app.local_blocks",
    "danet.app.page",
    "danet.app.picture",
    "danet.app.server",
    "danet.backends.onnxruntime_backend",
    "danet.backends.tflite_backend",
}
"""Modules that import the library of an extra when they are imported, and are imported on demand themselves."""


def test_every_module_of_the_runtime_that_needs_no_extra(run: Run) -> None:
    program = f"""
import importlib, pkgutil, danet
names = [module.name for module in pkgutil.walk_packages(danet.__path__, "danet.")]
for name in names:
    if name not in {NEED_AN_EXTRA!r}:
        importlib.import_module(name)
print(len(names))
"""
    done = run("python", "-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 30


def test_commands_on_an_ir(run: Run, tiny_ir: Path, scene_file: Path) -> None:
    told = run("danet", "info", tiny_ir, "--json", "-")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["spec"]["name"] == "tiny"
    inferred = run("danet", "infer", tiny_ir, scene_file, "--json", "-")
    assert inferred.returncode == 0
    assert len(json.loads(inferred.stdout)["images"][0]["persons"]) == 1
    assert run("danet", "--help").returncode == 0


@pytest.mark.parametrize(("file", "extra"), [("tiny_checkpoint", "torch"), ("tiny_onnx", "onnxruntime")])
def test_file_that_needs_an_extra(run: Run, file: str, extra: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(file)
    program = f"""
from danet import MissingExtraError, PoseEstimator
try:
    PoseEstimator({str(path)!r})
except MissingExtraError as error:
    print(error.extra, "|", error)
"""
    done = run("python", "-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{extra} | ")
    assert f"pip install 'danet-edge[{extra}]'" in done.stdout
    told = run("danet", "info", path)
    assert told.returncode == 1
    assert len(told.stderr.splitlines()) == 1
    assert f"danet-edge[{extra}]" in told.stderr


def test_onnx_without_onnxruntime_in_openvino(run: Run, tiny_onnx: Path) -> None:
    told = run("danet", "info", tiny_onnx, "--backend", "openvino", "--json", "-")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["spec"]["name"] == "tiny"


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("convert", "x.safetensors"), "convert"),
        (("train", "x.toml", "--out", "x"), "train"),
        (("evaluate", "MODEL", "--data", "x"), "evaluate"),
    ],
)
def test_commands_that_need_an_extra(run: Run, tiny_ir: Path, arguments: tuple[str, ...], extra: str) -> None:
    done = run("danet", *(tiny_ir if word == "MODEL" else word for word in arguments))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"danet-edge[{extra}]" in done.stderr
