"""Ray's example on a cluster of this machine with two workers, of which one is killed at work.

Needs Ray; where PyTorch, which the other tests use, is not installed beside it:

    pytest -m slow --confcutdir=tests/examples tests/examples/test_ray_batch.py
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest

from danet.scenes.clip import ClipFrame, render_clip

from .conftest import EXAMPLES, write_video

needs_ray = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("ray", "pyarrow")),
    reason="Ray Data is not installed; pip install -c constraints.txt '.[ray]'",
)
FRAMES = {"a.avi": 24, "b.avi": 20, "c.avi": 16}
ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Three short videos, each of another person."""
    for seed, (name, count) in enumerate(FRAMES.items()):
        clip = render_clip(seed, size=(240, 320), persons=1, seconds=count / 8, fps=8, script="squat")
        frames: Iterator[ClipFrame] = iter(clip)
        write_video(tmp_path / "videos" / name, frames, 8)
    return tmp_path / "videos"


def start(videos: Path, poses: Path) -> subprocess.Popen[str]:
    command = [sys.executable, EXAMPLES / "ray_batch.py", videos, poses, "--actors", "2"]
    return subprocess.Popen(
        list(map(str, command)), env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(run: subprocess.Popen[str]) -> str:
    try:
        told, _ = run.communicate(timeout=240)
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)  # Ray ends its processes then
            run.wait(60)
    assert run.returncode == 0, told
    return told


def descendants(pid: int) -> dict[int, str]:
    """Process ids below one, with their command lines."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:  # it has ended meanwhile
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: commands[one] for one in found if one in commands}


def kill_one_at_work(run: subprocess.Popen[str]) -> int:
    """Kill an actor while it does a video; gives its process id. Ray's titles say what a worker does."""
    end = time.monotonic() + 120
    while time.monotonic() < end and run.poll() is None:
        busy = [pid for pid, title in descendants(run.pid).items() if "MapWorker" in title and "submit" in title]
        if len(busy) == 2:
            os.kill(busy[0], signal.SIGKILL)
            return busy[0]
        time.sleep(0.05)
    raise AssertionError("no two actors were at work")


@pytest.mark.slow
@needs_ray
def test_a_killed_worker_loses_and_doubles_nothing(videos: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    poses = tmp_path / "poses"
    run = start(videos, poses)
    killed = kill_one_at_work(run)
    done_then = sorted(path.name for path in poses.glob("*.parquet"))
    told = finish(run)
    assert len(done_then) < 3  # there was work left to lose
    assert killed not in descendants(1)
    assert "3 videos, 0 done before" in told

    assert sorted(path.name for path in poses.glob("*.parquet")) == [f"{name}.parquet" for name in FRAMES]
    for name, count in FRAMES.items():
        rows = pq.read_table(poses / f"{name}.parquet").to_pylist()
        assert [(row["video"], row["frame"]) for row in rows] == [(name, index) for index in range(count)]
        assert sum(row["ids"] == [1] for row in rows) > count // 2
        assert all(len(row["keypoints"]) == len(row["scores"]) == len(row["ids"]) for row in rows)

    # a second run has nothing to do; a third one does what is missing, and only that
    assert finish(start(videos, poses)) == "3 videos, 3 done before\n"
    (poses / "b.avi.parquet").unlink()
    stamps = {name: (poses / f"{name}.parquet").stat().st_mtime_ns for name in ("a.avi", "c.avi")}
    told = finish(start(videos, poses))
    assert "3 videos, 2 done before" in told
    assert f"{videos / 'b.avi'}: 20 frames" in told
    assert stamps == {name: (poses / f"{name}.parquet").stat().st_mtime_ns for name in stamps}
    assert pq.read_metadata(poses / "b.avi.parquet").num_rows == 20


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """Stands for Ray, and has nothing to do."""
    ray = MagicMock()
    ray.data.from_items.return_value.map.return_value.iter_rows.return_value = []
    for name in ("ray", "ray.data", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, ray if name == "ray" else MagicMock())
    return ray


@pytest.mark.parametrize("given", ["hog", "models/yolox.onnx"])
def test_actors_get_whole_paths(
    example: Callable[[str], ModuleType],
    fake_ray: MagicMock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
) -> None:
    """They work in another folder."""
    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    for name in ("a.mp4", "._a.mp4", "notes.txt"):
        (tmp_path / "videos" / name).touch()
    module, opened = example("ray_batch"), MagicMock()
    monkeypatch.setattr(module, "open_detector", opened)
    module.main(["videos", "poses", "--detector", given])
    detector = given if given == "hog" else str(tmp_path / given)
    opened.assert_called_once_with(detector)
    assert fake_ray.data.from_items.call_args.args == ([{"path": str(tmp_path / "videos" / "a.mp4")}],)
    made = fake_ray.data.from_items.return_value.map.call_args.kwargs["fn_constructor_args"]
    assert made == (str(tmp_path / "poses"), detector, 1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["absent", "poses"], "No such file or directory: 'absent'"),
        (["videos", "poses", "--detector", "absent.onnx"], "absent.onnx: no such file"),
        (["videos", "poses", "--actors", "0"], "2"),
        (["videos", "poses", "--threads", "-1"], "2"),
    ],
)
def test_mistakes_are_told_in_a_line(
    example: Callable[[str], ModuleType],
    fake_ray: MagicMock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    with pytest.raises(SystemExit) as ended:
        example("ray_batch").main(arguments)
    assert code in str(ended.value.code)
    fake_ray.init.assert_not_called()


def test_without_ray_it_names_the_extra(example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SystemExit, match=r'pip install -c constraints.txt ".\[ray\]"'):
        example("ray_batch")
