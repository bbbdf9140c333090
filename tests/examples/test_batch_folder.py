from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from danet import InputError, PoseEstimator
from danet.detectors.hog_detector import HogDetector
from danet.frame import read_picture

Load = Callable[[str], ModuleType]


def test_results_are_those_of_the_parts(
    example: Load, model: str, picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    run = example("batch_folder").main
    run([str(picture_folder), str(results), "--model", model])
    told = capsys.readouterr()
    assert f"left out: {picture_folder}/broken.jpg" in told.out
    assert "3 pictures" in told.out
    assert "3 done now" in told.out

    found = json.loads(results.read_text())
    assert {person["image_id"] for person in found} <= {1, 2, 4}  # a, b, broken, c
    with PoseEstimator(model) as estimator:
        picture = read_picture(picture_folder / "b.png")
        boxes, scores = HogDetector().detect(picture)
        expected = estimator.infer(picture, boxes).to_coco(2, scores)
    assert len(expected) == 1
    again = [person for person in found if person["image_id"] == 2]
    for one, other in zip(again, expected, strict=True):
        np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=1e-4)
        assert one["score"] == pytest.approx(other["score"])

    # a crash in the middle of a line: what was whole is kept, the rest is done again
    part = tmp_path / "results.json.part"
    content, stamp = results.read_text(), part.read_text().splitlines(keepends=True)
    assert [json.loads(line)["file_name"] for line in stamp] == ["a.png", "b.png", "c.png"]
    part.write_text("".join(stamp[:2]) + stamp[2][:40])
    results.unlink()
    run([str(picture_folder), str(results), "--model", model])
    assert f"3 pictures, {len(found)} persons, 1 done now" in capsys.readouterr().out
    assert json.loads(results.read_text()) == json.loads(content)
    assert part.read_text().splitlines(keepends=True) == stamp
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "results.json", "results.json.part"]

    # a picture that comes before all others: each has its number of now
    (picture_folder / "0.png").write_bytes((picture_folder / "b.png").read_bytes())
    run([str(picture_folder), str(results), "--model", model])
    later = json.loads(results.read_text())
    assert [person["image_id"] for person in later] == [1] + [person["image_id"] + 1 for person in found]


def test_a_folder_of_results_that_does_not_exist_is_made(example: Load, model: str, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "nobody.png"), np.full((80, 60, 3), 90, np.uint8))
    results = tmp_path / "new" / "run" / "results.json"
    example("batch_folder").main([str(tmp_path / "pictures"), str(results), "--model", model])
    assert json.loads(results.read_text()) == []


def test_results_are_kept_where_nothing_can_be_done(example: Load, model: str, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    results = tmp_path / "results.json"
    results.write_text("[1]")
    with pytest.raises(SystemExit, match="none of 1 pictures could be done"):
        example("batch_folder").main([str(tmp_path / "pictures"), str(results), "--model", model])
    assert results.read_text() == "[1]"


@pytest.mark.parametrize(("name", "told"), [("absent", "No such file"), ("empty", "no pictures in this folder")])
def test_a_folder_without_pictures_is_told_of(example: Load, model: str, tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    results = tmp_path / "new" / "results.json"
    with pytest.raises(SystemExit, match=f"{tmp_path / name}: {told}"):
        example("batch_folder").main([str(tmp_path / name), str(results), "--model", model])
    assert not results.parent.exists()


def detected(module: ModuleType, monkeypatch: pytest.MonkeyPatch, detect: Callable[..., object]) -> None:
    """Run with another detector."""
    monkeypatch.setattr(module, "open_detector", lambda _: SimpleNamespace(detect=detect))


def test_ctrl_c_keeps_what_is_done(
    example: Load, model: str, picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, results = example("batch_folder"), tmp_path / "results.json"
    answers = iter([(np.zeros((0, 4)), np.zeros(0))])

    def detect(_: object) -> object:
        try:
            return next(answers)
        except StopIteration:
            raise KeyboardInterrupt from None

    detected(module, monkeypatch, detect)
    try:
        with pytest.raises(SystemExit, match="stopped; the same command goes on where it was"):
            module.main([str(picture_folder), str(results), "--model", model])
    except KeyboardInterrupt:
        pytest.fail("Ctrl-C came through")  # itself it would end pytest
    assert module.finished(tmp_path / "results.json.part") == {"a.png": []}
    assert not results.exists()


def test_a_picture_that_the_detector_fails_on_is_left_out(
    example: Load,
    model: str,
    picture_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, answers = example("batch_folder"), iter([InputError("box 0 is odd"), None, None])

    def detect(_: object) -> object:
        if error := next(answers):
            raise error
        return np.zeros((0, 4)), np.zeros(0)

    detected(module, monkeypatch, detect)
    arguments = [str(picture_folder), str(tmp_path / "results.json"), "--model", model]
    module.main(arguments)
    told = capsys.readouterr().out
    assert "left out: box 0 is odd" in told
    assert "2 pictures, 0 persons, 2 done now" in told

    # one that was done, and removed since, is in no count
    (picture_folder / "b.png").unlink()
    (picture_folder / "a.png").unlink()
    module.main(arguments)
    assert "1 pictures, 0 persons, 0 done now" in capsys.readouterr().out


def test_a_whole_journal_is_left_alone(example: Load, tmp_path: Path) -> None:
    # written anew, it would be lost by a kill, or a full disk, in the midst of it
    part = tmp_path / "results.json.part"
    line = json.dumps({"file_name": "a.png", "results": []}) + "\n"
    part.write_text(line)
    os.utime(part, ns=(1, 1))
    assert example("batch_folder").finished(part) == {"a.png": []}
    assert part.stat().st_mtime_ns == 1
    part.write_text(line + line[:9])
    assert example("batch_folder").finished(part) == {"a.png": []}
    assert part.read_text() == line
    part.unlink()
    assert example("batch_folder").finished(part) == {}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b.jpg", "a.PNG", "x.txt"], {"a.PNG": 1, "b.jpg": 2}),
        (["b.jpg", "._b.jpg", ".a.jpg"], {"b.jpg": 1}),  # what macOS lays beside files on other disks
        (["000000000139.jpg", "000000000285.jpg"], {"000000000139.jpg": 139, "000000000285.jpg": 285}),
        (["1.jpg", "1.png"], {"1.jpg": 1, "1.png": 2}),
    ],
)
def test_image_ids(example: Load, tmp_path: Path, names: list[str], expected: dict[str, int]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert example("batch_folder").numbered(tmp_path) == expected
