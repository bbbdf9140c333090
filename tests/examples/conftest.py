"""Examples as modules, and small rendered videos for them to run on; made once in a session."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from danet import Poses
from danet.embedded import embedded_model
from danet.scenes.clip import Clip, ClipFrame, render_clip
from danet.video.frame import Frame
from danet.video.result import FramePoses
from danet.video.video_writer import VideoWriter

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = (240, 320)


@pytest.fixture(scope="session")
def example() -> Callable[[str], ModuleType]:
    """An example by its name, imported as a module."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"danet_example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load


def write_video(path: Path, frames: Iterable[Frame], fps: float) -> Path:
    """A video of the frames' pictures."""
    with VideoWriter(path, fps=fps) as video:
        for frame in frames:
            video.write(frame.image)
    return path


class Camera(AbstractContextManager["Camera"]):
    """Stands for a PosePipeline: gives the poses of frames a second apart, then Ctrl-C comes, or another error."""

    def __init__(self, poses: Iterable[Poses], end: BaseException, told: Callable[[], str]) -> None:
        self.source = SimpleNamespace(name="camera 0", fps=1.0)
        self.told: list[str] = []  # what the program said at each frame
        self._poses, self._end, self._told = poses, end, told

    def __call__(self, *_: Any) -> Camera:
        return self

    def __iter__(self) -> Iterator[FramePoses]:
        for index, poses in enumerate(self._poses):
            picture = np.zeros((*SIZE, 3), np.uint8)
            yield FramePoses(Frame(picture, index, float(index)), poses, detected=True, latency_s=0.0)
            self.told.append(self._told())
        raise self._end

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def on_camera(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[list[str], str]]:
    """Runs a counter on frames with these poses; gives what came on stderr at each frame, and on stdout in all."""

    def run(
        module: ModuleType, arguments: list[str], poses: Iterable[Poses], end: BaseException | None = None
    ) -> tuple[list[str], str]:
        camera = Camera(poses, end or KeyboardInterrupt(), lambda: capsys.readouterr().err)
        monkeypatch.setattr(module, "PosePipeline", camera)
        monkeypatch.setattr(module, "PoseEstimator", lambda _: None)
        try:
            with pytest.raises(SystemExit, match=str(end)) if end else nullcontext():
                module.main(arguments)
        except KeyboardInterrupt:
            pytest.fail("Ctrl-C came through")  # itself it would end pytest
        return camera.told, capsys.readouterr().out

    return run


@pytest.fixture(scope="session")
def model() -> str:
    """The embedded model's TFLite file: read in an instant, while OpenVINO compiles each batch size for two seconds."""
    if not any(map(importlib.util.find_spec, ("ai_edge_litert", "tflite_runtime"))):
        return "danet72"
    return str(embedded_model("danet72", "tflite"))


@pytest.fixture(scope="session")
def squats() -> tuple[Clip, list[ClipFrame]]:
    """A person who does a squat."""
    clip = render_clip(11, size=SIZE, persons=1, seconds=4.2, fps=8, script="squat")
    return clip, list(clip)


@pytest.fixture(scope="session")
def squat_video(squats: tuple[Clip, list[ClipFrame]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    return write_video(tmp_path_factory.mktemp("videos") / "squats.avi", squats[1], 8)


@pytest.fixture(scope="session")
def short_video(squats: tuple[Clip, list[ClipFrame]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its first six frames."""
    return write_video(tmp_path_factory.mktemp("videos") / "short.avi", squats[1][:6], 8)


@pytest.fixture(scope="session")
def crossing_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two persons who walk past each other, over the frame's middle column, one to the left and one to the right."""
    clip = render_clip(5, size=SIZE, persons=2, seconds=7, fps=8, script="cross")
    assert {event.person for event in clip.events} == {1, 2}
    return write_video(tmp_path_factory.mktemp("videos") / "crossing.avi", (clip[index] for index in range(20, 44)), 8)


@pytest.fixture
def picture_folder(squats: tuple[Clip, list[ClipFrame]], tmp_path: Path) -> Path:
    """Three pictures, one file that is none, and one that only says that it is a picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, index in (("b.png", 0), ("a.png", 10), ("c.png", 20)):
        cv2.imwrite(str(folder / name), squats[1][index].image)
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not read")
    return folder
