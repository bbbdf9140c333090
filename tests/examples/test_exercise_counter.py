from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from danet import Poses
from danet.scenes.clip import Clip, ClipFrame, render_clip

Load = Callable[[str], ModuleType]
YOLOX = Path(__file__).parents[2].parent / "shared" / "data" / "models" / "yolox_nano.onnx"


def person(keypoints: np.ndarray, score: float = 1.0) -> Poses:
    points = keypoints[None].astype(np.float32)
    return Poses(points, np.full((1, 17), score, np.float32), np.zeros((1, 4), np.float32))


def legs(left: float, right: float) -> np.ndarray:
    """Keypoints whose knees have these angles in degrees, in whatever direction."""
    points = np.zeros((17, 2))
    for (hip, knee, ankle), angle in zip(((11, 13, 15), (12, 14, 16)), (left, right), strict=True):
        points[[hip, knee]] = (10, -40), (10, 0)
        way = np.radians(-90 + angle)
        points[ankle] = points[knee] + 35 * np.array((np.cos(way), np.sin(way)))
    return points


@pytest.mark.parametrize("angles", [(180, 180), (90, 170), (170, 90), (-90, 160), (20, 179), (-179, 178)])
def test_knee_angle(example: Load, angles: tuple[float, float]) -> None:
    knee_angle = example("exercise_counter").knee_angle
    assert knee_angle(person(legs(*angles))) == pytest.approx(min(map(abs, angles)), abs=1e-3)
    assert knee_angle(person(legs(*angles), score=0.05)) is None


@pytest.mark.parametrize(("hidden", "seen"), [(15, 12), (12, 15)])
def test_a_leg_that_is_not_seen_does_not_count(example: Load, hidden: int, seen: int) -> None:
    """Where its ankle or hip is hidden, a leg is put anywhere, often bent."""
    one = person(legs(90, 170) if hidden == 15 else legs(170, 90))
    one.scores[0, hidden] = 0.05
    assert example("exercise_counter").knee_angle(one) == pytest.approx(170, abs=1e-3)
    one.scores[0, seen] = 0.05
    assert example("exercise_counter").knee_angle(one) is None


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ([175] * 5, 0),
        ([175, 150, 120, 110, 130, 160, 175], 1),
        ([175, 150, 120, 110, 130, 139, 141, 139, 141, 160, 175], 1),  # trembles at a threshold
        ([175, 141, 139, 141, 139, 159, 161, 159, 161, 175], 1),
        ([175, 120, 175, 120, 175], 0),  # too short: slips of a frame
        ([175, 120, 110, 120, 155], 0),  # not up yet
        ([120, 120, 120, 175, 100, 100, 100, 175], 2),
    ],
)
def test_hysteresis(example: Load, angles: list[float], expected: int) -> None:
    counter = example("exercise_counter").SquatCounter(down=140, up=160)
    for index, angle in enumerate(angles):
        counter.update(angle, 0.15 * index)
    assert counter.count == expected


def test_a_camera_shows_its_counts(example: Load, on_camera: Callable[..., object]) -> None:
    angles = [175, 120, 175, 175, 120, 175]
    seen = [replace(person(legs(one, one)), ids=np.array([7])) for one in angles]
    told = on_camera(example("exercise_counter"), ["0"], seen)
    changes = ["", "", "2.0 s: person 7: 1 squats\n", "", "", "5.0 s: person 7: 2 squats\n"]
    assert told == (changes, "person 7: 2 squats\n")


@pytest.mark.parametrize(("down", "up"), [("160", "150"), ("150", "150"), ("0", "150"), ("150", "180"), ("nan", "160")])
def test_thresholds_without_a_gap_are_refused(
    example: Load, capsys: pytest.CaptureFixture[str], down: str, up: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        example("exercise_counter").main(["nowhere.mp4", "--down", down, "--up", up])
    assert ended.value.code == 2
    assert f"--down {down} and --up {up}, expected 0 < down < up < 180" in capsys.readouterr().err


def counted(example: Load, clip: Clip, who: int) -> int:
    """From the true keypoints, with the program's own thresholds."""
    module = example("exercise_counter")
    counter = module.SquatCounter(module.DOWN, module.UP)
    for index in range(len(clip)):
        counter.update(module.knee_angle(person(clip.keypoints(index / 10)[who])), index / 10)
    return int(counter.count)


@pytest.mark.parametrize("seed", range(2))
def test_count_of_true_keypoints(example: Load, seed: int) -> None:
    clip = render_clip(seed, persons=2, seconds=30, fps=10, script="squat")
    for who in (1, 2):
        assert counted(example, clip, who) == clip.count("squat", who) > 3


def test_count_by_the_embedded_model(
    example: Load,
    model: str,
    squats: tuple[Clip, list[ClipFrame]],
    squat_video: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example("exercise_counter").main([str(squat_video), "--model", model])
    assert squats[0].count("squat", 1) == 1
    told = capsys.readouterr()
    assert told.out == "person 1: 1 squats\n"
    assert told.err.endswith(" s: person 1: 1 squats\n")


@pytest.mark.slow
@pytest.mark.skipif(not YOLOX.exists(), reason="../shared/data/models/yolox_nano.onnx is absent")
def test_long_clips_by_the_embedded_model(example: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds that the thresholds were not chosen on (those were 1 to 8); HOG's false finds would be counted as well."""
    for seed in (21, 22):
        clip = render_clip(seed, size=(480, 640), persons=2, seconds=12, fps=10, script="squat")
        folder = tmp_path / str(seed)  # of pictures, which are read as 10 frames to a second, without loss
        folder.mkdir()
        for frame in clip:
            cv2.imwrite(str(folder / f"{frame.index}.png"), frame.image)
        example("exercise_counter").main([str(folder), "--detector", str(YOLOX)])
        counts = sorted(clip.count("squat", who) for who in (1, 2))
        told = capsys.readouterr().out.splitlines()
        assert sorted(int(line.split()[2]) for line in told) == counts, (seed, told)
