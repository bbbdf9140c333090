"""The board's example, in a Python that has numpy, OpenCV and the interpreter, and no other backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import cv2
import pytest
from tests.absent import without

from danet.embedded import PORTRAIT
from danet.video.folder_source import SUFFIXES

from .conftest import EXAMPLES

pytestmark = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("ai_edge_litert", "tflite_runtime")),
    reason="no TFLite interpreter; the extra `tflite` installs one",
)
BLOCKED = ("openvino", "torch", "onnx", "onnxruntime", "safetensors", "pycocotools", "av", "scipy", "matplotlib")
TELL = """
import atexit
from pathlib import Path

@atexit.register
def tell():
    files = [(name, getattr(module, "__file__", None) or "") for name, module in list(sys.modules.items())]
    installed = {name.partition(".")[0] for name, file in files if "site-packages" in file}
    Path(__file__).with_name("loaded.txt").write_text(" ".join(sorted(installed)))
"""
NEEDED = {"numpy", "cv2", "ai_edge_litert", "tflite_runtime", "flatbuffers"}


def run(folder: Path, *arguments: object) -> str:
    (folder / "sitecustomize.py").write_text(without(*BLOCKED) + TELL)
    command = [sys.executable, EXAMPLES / "tflite_edge.py", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_video_without_openvino(short_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.avi"
    told = run(tmp_path, short_video, "--threads", 2, "--frames", 4, "--out", out).splitlines()
    assert told[0].startswith("danet72 on fp32")
    assert [line.split(": ")[1][:9] for line in told[1:-1]] == ["0 persons", *["1 persons"] * 3]
    assert told[-1].startswith("4 frames, ")
    assert out.stat().st_size > 0
    loaded = set((tmp_path / "loaded.txt").read_text().split())
    assert "numpy" in loaded
    assert "cv2" in loaded
    assert not loaded & set(BLOCKED)
    assert {name for name in loaded if not name.startswith("_")} <= NEEDED | {"danet"}


def test_picture_by_default(tmp_path: Path) -> None:
    told = run(tmp_path, "--threads", 2).splitlines()
    assert len(told) == 3
    assert "1 persons, best score 0." in told[1]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_kind_of_picture_is_one_person(
    example: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    picture = tmp_path / f"portrait{suffix.upper()}"
    cv2.imwrite(str(picture), cv2.imread(str(PORTRAIT)))
    example("tflite_edge").main([str(picture), "--threads", "1"])
    assert "1 persons, best score 0." in capsys.readouterr().out


def test_an_address_that_ends_like_a_picture_is_a_camera(
    example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example("tflite_edge")
    given: list[object] = []

    def pipeline(*arguments: object) -> None:
        given.extend(arguments)
        raise OSError("no network here")

    monkeypatch.setattr(module, "PosePipeline", pipeline)
    with pytest.raises(SystemExit, match="no network here"):
        module.main(["http://camera/video.jpg", "--threads", "1"])
    assert len(given) == 4  # with a detector and a tracker


def test_ctrl_c_ends_a_camera(
    example: Callable[[str], ModuleType],
    short_video: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With its last line, as at the end of a file."""
    module, writer = example("tflite_edge"), MagicMock()
    writer.return_value.__enter__.return_value.write.side_effect = [None, KeyboardInterrupt]
    monkeypatch.setattr(module, "VideoWriter", writer)
    try:
        module.main([str(short_video), "--threads", "1", "--out", "out.avi"])
    except KeyboardInterrupt:
        pytest.fail("Ctrl-C came through")  # itself it would end pytest
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 frames, ")
    writer.return_value.__exit__.assert_called_once()


@pytest.mark.parametrize("frames", ["0", "-1"])
def test_no_frames_are_refused(
    example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str], frames: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        example("tflite_edge").main([f"--frames={frames}"])
    assert ended.value.code == 2
    assert f"--frames {frames}, expected 1 or more" in capsys.readouterr().err
