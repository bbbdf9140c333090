"""What a user may get wrong is told in a line, not by a traceback; ray_batch and camera_min have tests of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]
LINE = ["--line", "0,0,9,9"]
ABSENT = "absent.mp4: no such file"


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("people_counter", ["absent.mp4", *LINE], ABSENT),
        ("exercise_counter", ["absent.mp4"], ABSENT),
        ("tflite_edge", ["absent.mp4"], ABSENT),
        ("tflite_edge", ["absent.jpg"], "absent.jpg: no such file"),
        ("people_counter", ["picture.png", *LINE, "--out", "file/out.avi"], "file"),  # from the system
        ("exercise_counter", ["picture.png", "--out", "out.txt"], "out.txt"),
        ("people_counter", ["picture.png", *LINE, "--detector", "cat"], "no detector 'cat'"),
        ("exercise_counter", ["picture.png", "--detector", "absent.onnx"], "absent.onnx: no such file"),
        ("multi_camera", ["picture.png", "--detector", "cat"], "no detector 'cat'"),
        ("batch_folder", ["folder", "results.json", "--detector", "cat"], "no detector 'cat'"),
        ("batch_folder", ["folder", "file/results.json"], "file"),
    ],
)
def test_told_in_a_line(
    example: Load,
    model: str,
    short_video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    for picture in ("picture.png", "folder/a.png"):
        (tmp_path / picture).touch()
    with pytest.raises(SystemExit) as ended:
        example(name).main([*arguments, "--model", model])
    assert told in str(ended.value.code)
    assert "\n" not in str(ended.value.code)


@pytest.mark.parametrize("name", ["people_counter", "exercise_counter", "multi_camera", "tflite_edge", "batch_folder"])
def test_a_model_that_is_not_there(example: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    (tmp_path / "folder" / "a.png").touch()
    more = {"people_counter": LINE, "batch_folder": ["results.json"]}
    with pytest.raises(SystemExit, match=r"absent\.tflite"):
        example(name).main(["folder", *more.get(name, []), "--model", "absent.tflite"])
